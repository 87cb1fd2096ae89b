"""What the broker is asked to accept, from what the database holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.broker.access_rules import Action, Reason
from mooring.broker.users import BrokerUser
from mooring.bulk.model import Entry
from mooring.changes import queue as change_queue
from mooring.devices import password_store as passwords
from mooring.devices.model import NewDevice
from mooring.errors import Conflict, Forbidden, Invalid, NotFound
from mooring.identity.account import Quota, Rights
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.ingest.channels import numbers
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import devices
from mooring.store.versions import version

pytestmark = pytest.mark.usefixtures("new_sqlite_url")  # where ``data_dir=tmp_path`` has it

MACS = ("AA:BB:CC:00:00:01", "AA:BB:CC:00:00:02")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path, auth_mode="plugin"), upgrade=True) as opened:
        yield opened


def test_an_account_has_the_client_id_that_its_dialect_fixes(app: App) -> None:
    fixed = {"mooring": "acme:m1", "smarthome": "s1", "iotflow": "i1", "mousetrap": "t1"}
    for dialect, name in {
        "mooring": "m1",
        "smarthome": "s1",
        "iotflow": "i1",
        "mousetrap": "t1",
        "drivesafe": "d1",
        "pulse": "p1",
    }.items():
        mac = MACS[0] if dialect == "mousetrap" else None
        made, _ = app.devices.add(SYSTEM, NewDevice(name, dialect, "acme", mac=mac))
        account = app.devices.account(made.device.username)
        assert account is not None
        assert account.client_id == fixed.get(dialect), dialect
    every = {a.username: a for a in app.devices.accounts()}
    assert {a.client_id for a in every.values()} == {*fixed.values(), None}
    assert every == {name: app.devices.account(name) for name in every}


DIALECT = """
name = "barn"
title = "Barn"
username = "barn-{device}"

[placeholders]
device = "device"

[[channels]]
name = "milk"
topic = "barn/{device}/milk"
direction = "up"
kind = "telemetry"
"""


def test_a_first_device_of_a_dialect_announces_it(tmp_path: Path) -> None:
    """Running processes would take its devices for unknown until somebody reloads it."""
    settings = Settings(data_dir=tmp_path)
    settings.dialects_dir.mkdir()
    (settings.dialects_dir / "barn.toml").write_text(DIALECT)
    with open_app(settings, upgrade=True) as app:

        def announced() -> int:
            with app.database.read() as connection:
                return version(connection, "dialects")

        app.devices.add(SYSTEM, NewDevice("car", "drivesafe"))
        assert announced() == 0
        app.devices.add(SYSTEM, NewDevice("one", "barn"))
        assert announced() == 1
        checked, _ = app.bulk.check(SYSTEM, [Entry(1, NewDevice("two", "barn"))])
        app.bulk.store(SYSTEM, [replace(one, verifier="$7$x") for one in checked])
        assert announced() == 2
        numbers(app.database, app.catalogue)  # what ingest does when it has read it
        app.devices.add(SYSTEM, NewDevice("three", "barn"))
        assert announced() == 2


def quotas(app: App, username: str) -> tuple[Quota, Quota]:
    account = app.devices.account(username)
    assert account is not None
    assert account in app.devices.accounts()
    return account.quota, account.tenant_quota


def test_limits_are_its_own_then_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        auth_mode="plugin",
        device_messages_per_second=5,
        tenant_connections_max=9,
        tenant_bytes_per_second=100,
    )
    usual = settings.device_bytes_in_force
    assert usual == 2_000_000  # the plugin rejects before it acknowledges
    with open_app(settings, upgrade=True) as app:
        lamp = app.devices.add(SYSTEM, NewDevice("lamp", "mooring", "acme"))[0].device
        fan = app.devices.add(SYSTEM, NewDevice("fan", "mooring", "acme"))[0].device
        assert quotas(app, lamp.username) == (Quota(None, 5, usual), Quota(9, None, 100))
        _, found, changes = app.limits.set_of_device(SYSTEM, lamp.reference, Quota(2, 0, None))
        assert (found.in_force, found.enforced) == (Quota(2, None, usual), True)
        assert len(changes) == 1
        limited, told = app.limits.set_of_tenant(SYSTEM, "acme", Quota(0, 7, None))
        assert limited.in_force == Quota(None, 7, 100)
        with app.database.read() as connection:
            pending = {c.id: c.username for c in change_queue.due_changes(connection, now_ms())}
        assert pending[told[0]] in {lamp.username, fan.username}
        assert quotas(app, lamp.username) == (Quota(2, None, usual), Quota(None, 7, 100))
        assert quotas(app, fan.username) == (Quota(None, 5, usual), Quota(None, 7, 100))
        app.limits.set_of_device(SYSTEM, lamp.reference, Quota())
        assert app.limits.of_device(SYSTEM, lamp.reference)[1].own == Quota()
        assert quotas(app, lamp.username) == quotas(app, fan.username)
        app.devices.remove(SYSTEM, lamp.reference)


def test_who_may_change_limits(app: App) -> None:
    device = app.devices.add(SYSTEM, NewDevice("lamp", "mooring", "acme"))[0].device
    mine, operator = Actor("a", Role.ADMIN, "acme"), Actor("o", Role.OPERATOR, "acme")
    other = Actor("b", Role.ADMIN, "other")
    app.limits.set_of_device(mine, device.reference, Quota(1))
    for actor, error in ((operator, Forbidden), (other, NotFound)):
        with pytest.raises(error):
            app.limits.set_of_device(actor, device.reference, Quota(2))
    for actor, error in ((mine, Forbidden), (operator, Forbidden), (other, NotFound)):
        with pytest.raises(error):
            app.limits.set_of_tenant(actor, "acme", Quota(2))
    with pytest.raises(NotFound):
        app.limits.of_tenant(SYSTEM, "nobody")
    for wrong in (-1, 10**13):
        with pytest.raises(Invalid):
            app.limits.set_of_device(SYSTEM, device.reference, Quota(None, wrong))
    assert app.limits.of_device(SYSTEM, device.reference)[1].own == Quota(1)


def test_a_tenant_does_not_lift_what_protects_the_others(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, device_messages_per_second=10)
    with open_app(settings, upgrade=True) as app:
        device = app.devices.add(SYSTEM, NewDevice("lamp", "mooring", "acme"))[0].device
        mine = Actor("a", Role.ADMIN, "acme")
        for higher in (0, 11):
            with pytest.raises(Forbidden) as caught:
                app.limits.set_of_device(mine, device.reference, Quota(messages=higher))
            assert caught.value.slug == "limit_above_setting"
        for allowed in (Quota(messages=10), Quota(5, 1, 0), Quota()):  # bytes have no setting
            assert app.limits.set_of_device(mine, device.reference, allowed)[1].own == allowed
        app.limits.set_of_device(SYSTEM, device.reference, Quota(messages=0))
        assert app.limits.of_device(mine, device.reference)[1].in_force.messages is None


def test_no_two_devices_have_one_client_id(app: App) -> None:
    """Their usernames differ: each would end the other's session, in another tenant, too."""
    app.devices.add(SYSTEM, NewDevice("trap", "mousetrap", "acme", mac=MACS[0]))
    with pytest.raises(Conflict) as caught:
        app.devices.add(SYSTEM, NewDevice("trap", "mousetrap", "other", mac=MACS[1]))
    assert caught.value.slug == "username_taken"


def test_the_database_itself_refuses_a_second_one(app: App) -> None:
    for name, mac in zip(("one", "two"), MACS, strict=True):
        app.devices.add(SYSTEM, NewDevice(name, "mousetrap", "acme", mac=mac))
    with pytest.raises(sa.exc.IntegrityError), app.database.write() as connection:
        connection.execute(sa.update(devices).values(client_id="one"))


def test_where_the_broker_takes_the_username_that_is_the_client_id(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, client_ids="username")
    with open_app(settings, upgrade=True) as app:
        for dialect in ("mooring", "drivesafe"):
            app.devices.add(SYSTEM, NewDevice(f"one-{dialect}", dialect))
        assert all(a.client_id == a.username for a in app.devices.accounts())
        assert app.devices.account("default/one-mooring") in app.devices.accounts()


def test_a_refusal_tells_nothing_of_other_tenants(app: App) -> None:
    """One answer for another tenant's username, client id and name, and for a broker user's."""
    app.devices.add(SYSTEM, NewDevice("car", "drivesafe", "acme"))
    app.devices.add(SYSTEM, NewDevice("plug", "smarthome", "acme"))
    app.devices.add(SYSTEM, NewDevice("trap", "mousetrap", "acme", mac=MACS[0]))
    app.broker_users.create(SYSTEM, BrokerUser("bridge", Rights()))
    said = set()
    for new in (
        NewDevice("car", "drivesafe", "other"),
        NewDevice("plug", "smarthome", "other"),
        NewDevice("trap", "mousetrap", "other", mac=MACS[1]),
        NewDevice("bridge", "iotflow", "other"),
    ):
        with pytest.raises(Conflict) as caught:
            app.devices.add(SYSTEM, new)
        assert "acme" not in str(caught.value)
        said.add((caught.value.slug, caught.value.message.replace(new.name, "NAME")))
    assert len(said) == 1
    for new in (NewDevice("car", "iotflow", "acme"), NewDevice("car", "drivesafe", "acme")):
        with pytest.raises(Conflict) as caught:
            app.devices.add(SYSTEM, new)
        assert caught.value.slug == "device_exists"


@pytest.mark.parametrize("name", ["mooring", "mooring-x", "service:mooring", "mooring.canary"])
def test_the_platforms_names_are_its_own(app: App, name: str) -> None:
    with pytest.raises(Invalid):
        app.devices.add(SYSTEM, NewDevice(name, "pulse"))


def test_a_device_that_has_the_platforms_name_does_not_stop_the_start(tmp_path: Path) -> None:
    """``broker_username`` was set to its name later."""
    with open_app(Settings(data_dir=tmp_path), upgrade=True) as app:
        app.devices.add(SYSTEM, NewDevice("esp32", "smarthome"))
    with open_app(Settings(data_dir=tmp_path, broker_username="esp32")) as app:
        assert app.devices.accounts() == []


def test_what_a_device_may_do_is_what_its_dialect_grants(app: App) -> None:
    made, _ = app.devices.add(SYSTEM, NewDevice("m1", "mooring", "acme"))
    topics = made.topics
    for action, kind in ((Action.PUBLISH, "telemetry"), (Action.SUBSCRIBE, "command")):
        verdict = app.devices.may(made.device, action, topics[kind])
        assert (verdict.allowed, verdict.reason) == (True, None)
        assert verdict.rule is not None
        foreign = topics[kind].replace("m1", "m2")
        assert app.devices.may(made.device, action, foreign).reason is Reason.NO_RIGHT
    assert app.devices.may(made.device, Action.SUBSCRIBE, "#").reason is Reason.NO_RIGHT
    assert app.devices.may(made.device, Action.PUBLISH, "a/+").reason is Reason.INVALID_TOPIC
    assert app.devices.may(made.device, Action.PUBLISH, "$mooring/x").reason is Reason.RESERVED
    app.devices.set_enabled(SYSTEM, "m1", enabled=False)
    locked = app.devices.may(made.device, Action.PUBLISH, topics["telemetry"])
    assert locked.reason is Reason.LOCKED


def test_a_rotation_and_certificates_are_part_of_the_account(app: App) -> None:
    made, _ = app.devices.add(SYSTEM, NewDevice("m1", "mooring", "acme"))
    username = made.device.username
    before = app.devices.account(username)
    assert before is not None
    assert before.next_verifier is None
    rotation = app.rotations.start(SYSTEM, made.device).rotation
    account = app.devices.account(username)
    assert account is not None
    assert (account.verifier, account.next_verifier) == (before.verifier, rotation.new_verifier)
    assert app.devices.accounts() == [account]
    # Another authority may hold the new one already: then the old one is the second.
    with app.database.write() as connection:
        passwords.set_password(connection, made.device.id, rotation.new_verifier or "")
    account = app.devices.account(username)
    assert account is not None
    assert (account.verifier, account.next_verifier) == (rotation.new_verifier, before.verifier)

    app.pki.init()
    _, bundle = app.certificates.issue(SYSTEM, username)
    account = app.devices.account(username)
    assert account is not None
    assert account.certificates == (bundle.info.serial,)
    app.certificates.revoke(SYSTEM, username)
    account = app.devices.account(username)
    assert account is not None
    assert account.certificates == ()
