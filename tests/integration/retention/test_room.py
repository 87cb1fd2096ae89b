"""What people may create has a limit, checked in the transaction that creates it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.broker.users import BrokerUser
from mooring.bulk.model import Entry
from mooring.credentials.claims.model import NewClaim
from mooring.devices.model import NewDevice
from mooring.errors import Conflict
from mooring.identity.account import Rights
from mooring.identity.actor import SYSTEM, Role
from mooring.people.model import NewKey, NewUser
from mooring.settings import load
from mooring.store.schema import tenants
from mooring.wiring.tls import prepare_tls

LIMITS = {
    "tenants_max": 2,
    "devices_max_per_tenant": 2,
    "users_max_per_tenant": 2,
    "api_keys_max_per_tenant": 2,
    "broker_users_max": 2,
    "claim_codes_max_per_tenant": 2,
    "certificates_max_per_device": 2,
}


@pytest.fixture
def app(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    flags = {"data_dir": tmp_path / "data", "database_url": migrated_url, **LIMITS}
    settings, _ = load(flags)
    with open_app(settings, upgrade=True) as opened:
        yield opened


def refused(caught: pytest.ExceptionInfo[Conflict]) -> tuple[str, object]:
    return caught.value.slug, caught.value.context["limit"]


def counted(app: App, tenant: str) -> int:
    with app.database.read() as connection:
        statement = sa.select(tenants.c.devices).where(tenants.c.name == tenant)
        return int(connection.execute(statement).scalar_one())


def test_devices_of_a_tenant_and_room_again_after_a_removal(app: App) -> None:
    for name in ("a", "b"):
        app.devices.add(SYSTEM, NewDevice(name, "mooring"))
    with pytest.raises(Conflict) as caught:
        app.devices.add(SYSTEM, NewDevice("c", "mooring"))
    assert refused(caught) == ("limit_reached", "devices_max_per_tenant")
    assert counted(app, "default") == 2
    app.devices.add(SYSTEM, NewDevice("c", "mooring", tenant="other"))
    app.devices.remove(SYSTEM, "a")
    assert counted(app, "default") == 1
    app.devices.add(SYSTEM, NewDevice("c2", "mooring"))
    assert counted(app, "default") == 2


def test_a_refused_device_is_not_counted(app: App) -> None:
    app.devices.add(SYSTEM, NewDevice("a", "mooring"))
    with pytest.raises(Conflict):
        app.devices.add(SYSTEM, NewDevice("a", "mooring"))
    assert counted(app, "default") == 1


def test_an_import_adds_all_or_nothing(app: App) -> None:
    entries = [Entry(n, NewDevice(f"d{n}", "mooring"), None, None) for n in range(3)]
    good, wrong = app.bulk.check(SYSTEM, entries)
    assert not wrong
    made, _ = app.bulk.new_passwords(good)
    with pytest.raises(Conflict) as caught:
        app.bulk.store(SYSTEM, made)
    assert refused(caught) == ("limit_reached", "devices_max_per_tenant")
    app.bulk.store(SYSTEM, made[:2])
    assert counted(app, "default") == 2


def test_tenants(app: App) -> None:
    for name in ("one", "two"):
        app.people.add_tenant(SYSTEM, name)
    for again in range(2):
        with pytest.raises(Conflict) as caught:
            if again:
                app.devices.add(SYSTEM, NewDevice("a", "mooring", tenant="three"))
            else:
                app.people.add_tenant(SYSTEM, "three")
        assert refused(caught) == ("limit_reached", "tenants_max")


def test_people_keys_codes_and_broker_users(app: App) -> None:
    app.people.add_tenant(SYSTEM, "one")
    for number in range(2):
        app.people.add(SYSTEM, NewUser(f"p{number}", Role.VIEWER, "one", None))
        app.people.add_key(SYSTEM, NewKey(f"k{number}", Role.VIEWER, "one", None))
        app.claims.new(SYSTEM, NewClaim("mooring", tenant="one"))
        app.broker_users.create(SYSTEM, BrokerUser(f"b{number}", Rights()))
    tries = (
        (
            "users_max_per_tenant",
            lambda: app.people.add(SYSTEM, NewUser("p", Role.VIEWER, "one", None)),
        ),
        (
            "api_keys_max_per_tenant",
            lambda: app.people.add_key(SYSTEM, NewKey("k", Role.VIEWER, "one", None)),
        ),
        (
            "claim_codes_max_per_tenant",
            lambda: app.claims.new(SYSTEM, NewClaim("mooring", tenant="one")),
        ),
        ("broker_users_max", lambda: app.broker_users.create(SYSTEM, BrokerUser("b", Rights()))),
    )
    for setting, attempt in tries:
        with pytest.raises(Conflict) as caught:
            attempt()
        assert refused(caught) == ("limit_reached", setting)
    # Another tenant has limits of its own.
    app.people.add(SYSTEM, NewUser("other", Role.VIEWER, None, None))
    app.people.add_key(SYSTEM, NewKey("other", Role.VIEWER, None, None))


def test_certificates_of_a_device(app: App) -> None:
    app.devices.add(SYSTEM, NewDevice("a", "mooring"))
    prepare_tls(app)
    for _ in range(2):
        app.certificates.issue(SYSTEM, "a")
    with pytest.raises(Conflict) as caught:
        app.certificates.issue(SYSTEM, "a")
    assert refused(caught) == ("limit_reached", "certificates_max_per_device")
