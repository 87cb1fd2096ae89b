"""What follows devices: who is on hold, who is orphaned, whose sessions are to end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.changes import queue as change_queue
from mooring.devices.model import Device, NewDevice
from mooring.errors import Forbidden, Invalid, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.pki.fleet.service import DeviceCertificates
from mooring.pki.model import Reason
from mooring.settings import Settings
from mooring.store.schema import audit, broker_changes, broker_events, device_state
from mooring.wiring.sessions import client_ids
from mooring.wiring.sightings import SightingReader
from tests.unit.pki.making import a_csr


@pytest.fixture
def app(tmp_path: Path, migrated_file: Path) -> Iterator[App]:
    (tmp_path / "data").mkdir()
    shutil.copy(migrated_file, tmp_path / "data" / "mooring.db")
    with open_app(Settings(data_dir=tmp_path / "data")) as opened:
        opened.pki.init()
        yield opened


@pytest.fixture
def certificates(app: App) -> DeviceCertificates:
    return app.certificates


def add(app: App, name: str, tenant: str = "acme") -> Device:
    return app.devices.add(SYSTEM, NewDevice(name, "mooring", tenant))[0].device


def test_a_disabled_device_is_on_hold(app: App, certificates: DeviceCertificates) -> None:
    device = add(app, "pump")
    _, bundle = certificates.issue(SYSTEM, "pump")
    assert certificates.ledger.held() == []
    app.devices.set_enabled(SYSTEM, device.username, enabled=False)
    assert [r.serial for r in certificates.ledger.held()] == [bundle.info.serial]
    app.devices.set_enabled(SYSTEM, device.username, enabled=True)
    assert certificates.ledger.held() == []


def test_a_new_certificate_waits_for_a_broker_that_asks_which_are_valid(
    tmp_path: Path, migrated_file: Path
) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(migrated_file, tmp_path / "data" / "mooring.db")
    with open_app(Settings(data_dir=tmp_path / "data", auth_mode="plugin")) as app:
        app.pki.init()
        device, other = add(app, "pump"), add(app, "valve")
        for one in (device, other):
            with app.database.write() as connection:
                change_queue.settle(connection, app.certificates.pending(one))
            assert app.certificates.pending(one) == []
        app.certificates.issue(SYSTEM, "pump")
        (change,) = app.certificates.pending(device)
        assert app.certificates.pending(other) == []
        with app.database.write() as connection:
            change_queue.settle(connection, [change])
        assert app.certificates.pending(device) == []


def test_a_successor_of_the_same_name_does_not_inherit(
    app: App, certificates: DeviceCertificates
) -> None:
    add(app, "pump")
    _, old = certificates.issue(SYSTEM, "pump")
    app.devices.remove(SYSTEM, "pump")
    add(app, "pump")
    _, new = certificates.issue(SYSTEM, "pump")
    assert [r.serial for r in certificates.ledger.orphans()] == [old.info.serial]
    app.pki.revoke(serial=old.info.serial, reason=Reason.CESSATION_OF_OPERATION)
    assert certificates.ledger.orphans() == []
    assert [r.serial for r in certificates.ledger.unenforced()] == [old.info.serial]
    certificates.ledger.enforced([old.info.serial], datetime.now(UTC))
    assert certificates.ledger.unenforced() == []
    live = app.pki.list("acme/pump")
    assert [r.serial for r in live if r.revoked_at is None] == [new.info.serial]


def test_in_force_means_enforced_and_no_kick_waiting(
    app: App, certificates: DeviceCertificates
) -> None:
    add(app, "pump")
    certificates.issue(SYSTEM, "pump")
    done = certificates.revoke(SYSTEM, "pump").certificates
    assert certificates.in_force(done) is False
    with app.database.write() as connection:
        kick = change_queue.enqueue(connection, "kick", "acme/pump")
    certificates.ledger.enforced([r.serial for r in done], datetime.now(UTC))
    assert certificates.in_force(done) is False
    with app.database.write() as connection:
        change_queue.settle(connection, [kick])
    assert certificates.in_force(done) is True


def test_a_kick_takes_the_place_of_kicks_only(app: App) -> None:
    with app.database.write() as connection:
        for action in ("put", "kick", "put", "kick", "remove"):
            change_queue.enqueue(connection, action, "acme/pump")
        rows = (
            connection.execute(sa.select(broker_changes.c.action).order_by(broker_changes.c.id))
            .scalars()
            .all()
        )
    assert rows == ["kick", "remove"]


def test_roles_and_tenants(app: App, certificates: DeviceCertificates) -> None:
    add(app, "pump")
    viewer = Actor("vera", Role.VIEWER, "acme")
    operator = Actor("olga", Role.OPERATOR, "acme")
    stranger = Actor("sven", Role.ADMIN, "other")
    _, bundle = certificates.issue(operator, "pump", csr=a_csr())
    serial = bundle.info.serial
    assert [r.serial for r in certificates.list(viewer, "pump")] == [serial]
    for actor, error in ((viewer, Forbidden), (stranger, NotFound)):
        with pytest.raises(error):
            certificates.issue(actor, "pump", csr=a_csr())
        with pytest.raises(error):
            certificates.revoke(actor, "pump")
    with pytest.raises(Forbidden):  # by its number alone it might be anybody's
        certificates.revoke(operator, serial=serial)
    with pytest.raises(Forbidden):
        certificates.list(operator)
    for actor in (operator, stranger):
        with pytest.raises(Forbidden):
            certificates.rollover_start(actor)
    assert certificates.revoke(operator, "pump", serial=serial).usernames == ("acme/pump",)
    with app.database.read() as connection:
        rows = connection.execute(
            sa.select(audit.c.actor, audit.c.action, audit.c.tenant)
            .where(audit.c.action.like("certificate.%"))
            .order_by(audit.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        ("olga", "certificate.issue", "acme"),
        ("olga", "certificate.revoke", "acme"),
    ]


def test_a_number_must_be_the_named_devices(app: App, certificates: DeviceCertificates) -> None:
    add(app, "pump")
    add(app, "valve")
    _, bundle = certificates.issue(SYSTEM, "pump")
    with pytest.raises(NotFound, match="of acme/valve"):
        certificates.revoke(SYSTEM, "valve", serial=bundle.info.serial)
    with pytest.raises(Invalid):
        certificates.revoke(SYSTEM)


def test_of_a_removed_device_by_its_username(app: App, certificates: DeviceCertificates) -> None:
    device = add(app, "pump")
    certificates.issue(SYSTEM, "pump")
    app.devices.remove(SYSTEM, "pump")
    assert len(certificates.revoke(SYSTEM, device.username).certificates) == 1
    with pytest.raises(NotFound):
        certificates.revoke(SYSTEM, "nobody")


def test_client_ids_are_those_that_are_connected(app: App) -> None:
    events = [
        ("connected", "acme/pump", "stays"),
        ("connected", "acme/pump", "left"),
        ("disconnected", "acme/pump", "left"),
        ("connected", "acme/pump", "back"),
        ("disconnected", "acme/pump", "back"),
        ("connected", "acme/pump", "back"),
        ("connected", "acme/pump", "stolen"),
        ("taken_over", "acme/pump", "stolen"),
        ("connected", "acme/valve", "another's"),
        ("refused", "acme/pump", None),
    ]
    with app.database.write() as connection:
        for event, username, client_id in events:
            connection.execute(
                sa.insert(broker_events).values(
                    at=1, event=event, username=username, client_id=client_id
                )
            )
        assert client_ids(connection, "acme/pump") == ["stays", "back"]
        assert client_ids(connection, "acme/nobody") == []


def test_sightings_are_read_during_a_rollover(app: App, certificates: DeviceCertificates) -> None:
    ids = {name: add(app, name).id for name in ("old", "new", "both", "wrong", "silent")}
    (first,) = app.pki.authorities()
    reader = SightingReader(app.database, app.pki)
    assert reader.read() == 0
    certificates.rollover_start(SYSTEM)
    now, before = app.pki.authorities()
    assert before == first
    said = {
        "old": f'{{"ca":"{first.upper()}"}}',
        "new": f'{{"ca":"{now}","firmware":"1"}}',
        "both": f'{{"ca":"{first} {now}"}}',
        "wrong": '{"ca":"00"}',
    }
    with app.database.write() as connection:
        for name, text in said.items():
            connection.execute(
                sa.insert(device_state).values(
                    device_id=ids[name], metadata=text, metadata_at=1_700_000_000_000
                )
            )
    assert SightingReader(app.database, app.pki).read() == 3
    status = certificates.rollover(SYSTEM)
    assert status is not None
    assert (status.fleet, status.on_new, status.on_old, status.unseen) == (5, 2, 1, 2)
    with app.database.write() as connection:
        connection.execute(
            sa.update(device_state)
            .where(device_state.c.device_id == ids["old"])
            .values(metadata=said["new"], metadata_at=1_700_000_001_000)
        )
    SightingReader(app.database, app.pki).read()
    status = certificates.rollover(SYSTEM)
    assert status is not None
    assert (status.on_new, status.on_old) == (3, 0)


def test_health_before_the_first_start_and_after(
    app: App, certificates: DeviceCertificates, tmp_path: Path
) -> None:
    found = certificates.health(app.settings)
    assert found.problems == ()
    assert found.report is not None
    app.pki.paths.server_cert.write_text("rubbish")
    assert "server.crt" in " ".join(certificates.health(app.settings).problems)
    empty = Settings(data_dir=tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    shutil.copy(app.settings.sqlite_path, empty.sqlite_path)
    with open_app(empty) as other:
        assert other.certificates.health(empty).report is None
        assert other.certificates.health(empty).problems == ()
