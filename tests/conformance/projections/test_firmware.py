"""What devices report of firmware updates, through planner and sink, on each database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.ota.updates import store
from mooring.ota.updates.model import Kind, Seen, State, Update
from mooring.store.engine import Database
from mooring.store.schema import (
    counters,
    device_state,
    downlinks,
    firmware_artifacts,
    firmware_releases,
)
from tests.conformance.projections.conftest import OpenDesk
from tests.support.projecting import NOW, Desk, add_devices, packet, registered

LAMP, OTHER, TRAP = 1, 2, 4
MINUTE = 60_000
PROGRESS, TELEMETRY = "mooring/acme/a/firmware/progress", "mooring/acme/a/telemetry"
TRAP_PROGRESS, TRAP_STATUS = (
    f"tenant/acme/device/trap/{one}" for one in ("ota/progress", "status")
)

SINCE = NOW - 30_000
INSTALLED: dict[str, Any] = {
    "state": State.INSTALLED,
    "install_at": NOW - MINUTE,
    "linked": True,
    "linked_at": SINCE,
    "session_at": SINCE,
}


@pytest.fixture(autouse=True)
def known(database: Database) -> None:
    add_devices(database)
    with database.write() as connection:
        connection.execute(
            sa.insert(firmware_releases).values(
                id=1,
                tenant="acme",
                product="p",
                kind="firmware",
                version="1.5.0",
                version_key="k",
                hardware="[]",
                requires="[]",
                security_version=0,
                notes="",
                state="published",
                created_at=1,
                created_by="ada",
            )
        )
        connection.execute(
            sa.insert(firmware_artifacts).values(
                id=1, release_id=1, name="a", size=1000, sha256="s", sha1="s", md5="m"
            )
        )


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    return open_desk(*registered())


def put(database: Database, device: int = LAMP, **more: Any) -> int:
    """An update that was offered a minute ago."""
    update = Update(
        id=0,
        tenant="acme",
        device_id=device,
        device="d",
        release_id=1,
        artifact_id=1,
        kind=Kind.FIRMWARE,
        version="1.5.0",
        from_version="1.4.0",
        size=1000,
        created_at=NOW - MINUTE,
        expires_at=NOW + 1000 * MINUTE,
        state=State.OFFERED,
        state_at=NOW - MINUTE,
        due_at=NOW + MINUTE,
        offer_at=NOW - MINUTE,
    )
    with database.write() as connection:
        (number,) = store.insert(connection, [replace(update, **more)])
    return number


def now(database: Database, number: int) -> Update:
    with database.read() as connection:
        found = store.one(connection, number)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("said", "state", "code"),
    [
        ({"state": "downloading", "percent": 40}, State.DOWNLOADING, ""),
        ({"state": "installing"}, State.INSTALLING, ""),
        ({"status": "rebooting"}, State.REBOOTING, ""),
        ({"state": "done"}, State.INSTALLED, ""),
        ({"state": "deferred", "seconds": 60}, State.DEFERRED, ""),
        ({"state": "failed", "code": "no_space", "error": "full"}, State.FAILED, "no_space"),
        ({"state": "rejected", "error": "older version"}, State.REJECTED, "downgrade"),
    ],
)
def test_progress_moves_its_update(
    database: Database, desk: Desk, said: dict[str, Any], state: State, code: str
) -> None:
    number, other = put(database), put(database, OTHER)
    desk.batch([packet(PROGRESS, {"id": str(number), **said})])
    found = now(database, number)
    assert (found.state, found.code) == (state, code)
    assert now(database, other).state is State.OFFERED
    if code:
        assert found.words == said["error"]


def test_an_answer_names_no_update_of_another_device(database: Database, desk: Desk) -> None:
    other = put(database, OTHER)
    desk.batch([packet(PROGRESS, {"id": str(other), "state": "failed"})])
    assert now(database, other).state is State.OFFERED


def test_firmware_that_names_no_id(database: Database, desk: Desk) -> None:
    number = put(database, TRAP)
    desk.batch([packet(TRAP_PROGRESS, {"version": "1.4", "status": "failed"})])
    assert now(database, number).state is State.OFFERED, "it is of another version"
    desk.batch([packet(TRAP_PROGRESS, {"version": "v1.5", "progress": 12})])
    found = now(database, number)
    assert (found.state, found.percent) == (State.DOWNLOADING, 12)


def test_the_offer_of_an_ended_update_is_withdrawn(database: Database, desk: Desk) -> None:
    with database.write() as connection:
        connection.execute(
            sa.insert(downlinks).values(
                id=5,
                device_id=LAMP,
                tenant="acme",
                topic="t",
                qos=1,
                until="live",
                state="queued",
                created_at=1,
                next_at=1,
                expires_at=NOW + 1000 * MINUTE,
                origin="firmware",
            )
        )
    number = put(database, state=State.WAITING, downlink_id=5)
    desk.batch([packet(PROGRESS, {"id": str(number), "state": "rejected"})])
    assert now(database, number).state is State.REJECTED
    with database.read() as connection:
        assert connection.execute(sa.select(downlinks.c.state)).scalar_one() == "cancelled"
        counted = sa.select(counters.c.value).where(counters.c.name == "firmware_rejected")
        assert connection.execute(counted).scalar_one() == 1


def test_the_version_of_a_later_session(database: Database, desk: Desk) -> None:
    """The first message of a session may come before anybody has looked at the connection."""
    begun = {"state": State.REBOOTING, "install_at": NOW - MINUTE, "installs": 1}
    number = put(database, linked=False, linked_at=NOW - MINUTE, **begun)
    with database.write() as connection:
        connection.execute(
            sa.insert(device_state).values(
                device_id=LAMP, connected=True, connected_at=NOW - 30_000
            )
        )
    early = {"ts": NOW - 50_000, "values": {"t": 1}, "meta": {"firmware": "1.4.0"}}
    fresh = {"ts": NOW - 10_000, "values": {"t": 2}, "meta": {"firmware": "v1.5"}}
    desk.batch([packet(TELEMETRY, early)])
    assert now(database, number).seen is Seen.NOTHING, "it was queued"
    desk.batch([packet(TELEMETRY, fresh)])
    found = now(database, number)
    assert (found.state, found.seen, found.session_at) == (
        *(State.INSTALLED, Seen.NEW, NOW - 30_000),
    )


def test_a_file_system_has_a_version_of_its_own(database: Database, desk: Desk) -> None:
    begun = {"state": State.INSTALLED, "install_at": NOW - MINUTE, "kind": Kind.FILESYSTEM}
    number = put(
        database, TRAP, linked=True, linked_at=NOW - 30_000, session_at=NOW - 30_000, **begun
    )
    body = {"online": True, "firmware_version": "1.5.0", "timestamp": NOW // 1000}
    desk.batch([packet(TRAP_STATUS, body)])
    assert now(database, number).seen is Seen.NOTHING
    desk.batch([packet(TRAP_STATUS, {**body, "filesystem_version": "1.5.0"})])
    assert now(database, number).seen is Seen.NEW


def test_what_the_broker_had_kept_proves_nothing(database: Database, desk: Desk) -> None:
    begun = {"state": State.INSTALLED, "install_at": NOW - MINUTE}
    number = put(
        database, TRAP, linked=True, linked_at=NOW - 30_000, session_at=NOW - 30_000, **begun
    )
    body = {"online": True, "firmware_version": "1.5.0", "timestamp": NOW // 1000}
    desk.batch([packet(TRAP_STATUS, body, retain=True)])
    assert now(database, number).seen is Seen.NOTHING


def test_a_version_is_compared_with_nothing_while_no_update_is_open(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Devices name their version with every reading."""

    def looked(*_: Any) -> Any:
        raise AssertionError("it looked for updates")

    monkeypatch.setattr(store, "watched", looked)
    done = desk.batch([packet(TELEMETRY, {"values": {}, "meta": {"firmware": "1.4.0"}})])
    assert (done.stored, done.refused) == (1, ())
