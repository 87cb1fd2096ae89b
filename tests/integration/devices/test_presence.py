"""Presence from stored evidence, on both engines: what the worker makes of rows that the broker's
evidence and ingest have written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.broker.log import LogKind
from mooring.devices.model import Device, NewDevice
from mooring.identity.actor import SYSTEM
from mooring.presence import store as evidence
from mooring.presence.observe import Connectivity, EventRow
from mooring.presence.states import store
from mooring.presence.states.machine import HOLD_MS, LAG_MS, NOT_BACK
from mooring.presence.states.service import DevicePresence
from mooring.presence.states.worker import SWEEP_MS, PresenceWorker
from mooring.settings import Settings
from mooring.store.schema import channels, device_state, messages, presence_changes

T = 1_771_000_000_000
GRACE = 120_000
MINUTE = 60_000


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path / "data", database_url=migrated_url)) as app:
        yield app


@pytest.fixture
def worker(platform: App) -> PresenceWorker:
    found = PresenceWorker(platform.database, lambda: platform.catalogue, GRACE)
    found.step(T - 1000)
    return found


def add(platform: App, name: str = "one", dialect: str = "pulse") -> Device:
    return platform.devices.add(SYSTEM, NewDevice(name, dialect))[0].device


def session(
    platform: App,
    kind: LogKind,
    at: int,
    *devices: Device,
    detail: str = "",
    keepalive: int | None = None,
) -> None:
    """Events of the broker, as those who read its evidence store them."""
    with platform.database.write() as connection:
        names = [one.username for one in devices] or [None]
        rows = [EventRow(at, str(kind), name, name, None, detail, keepalive) for name in names]
        evidence.add_events(connection, rows)
        there = kind is LogKind.CONNECTED
        if kind is LogKind.RUNNING:
            evidence.nobody_connected(connection, at)
        evidence.set_connected(
            connection, [Connectivity(one.username, there, at, None) for one in devices]
        )


def says(platform: App, device: Device, at: int, **values: object) -> None:
    """State as ingest stores it."""
    with platform.database.write() as connection:
        row = {"device_id": device.id, "last_seen_at": at, **values}
        changed = connection.execute(
            sa.update(device_state).where(device_state.c.device_id == device.id).values(row)
        )
        if not changed.rowcount:
            connection.execute(sa.insert(device_state).values(row))


def state(platform: App, device: Device) -> tuple[str, str]:
    found = platform.service(DevicePresence).of(SYSTEM, device.username)[1]
    return str(found.state), found.record.reason


def history(platform: App, device: Device) -> list[str]:
    found = platform.service(DevicePresence).of(SYSTEM, device.username)[1]
    return [str(one.state) for one in found.history]


def test_sessions(platform: App, worker: PresenceWorker) -> None:
    one, two = add(platform), add(platform, "two")
    assert state(platform, one) == ("never_seen", "")
    session(platform, LogKind.CONNECTED, T, one)
    worker.step(T + 10)
    assert state(platform, one) == ("online", "")
    session(platform, LogKind.DISCONNECTED, T + 20, one, detail="19")
    says(platform, one, T + 21)  # sent before the end, stored after it
    worker.step(T + 30)
    assert state(platform, one) == ("online", "")
    worker.step(T + 20 + HOLD_MS)
    assert state(platform, one) == ("offline", "keepalive timeout")
    assert history(platform, one) == ["offline", "online"]
    assert history(platform, two) == []


def test_a_will_of_an_older_session_changes_nothing(platform: App, worker: PresenceWorker) -> None:
    one = add(platform)
    session(platform, LogKind.CONNECTED, T, one)
    session(platform, LogKind.CONNECTED, T + 1000, one)
    says(platform, one, T + 2000, online=False, online_at=T + 2000)
    for at in (T + 2001, T + 2000 + HOLD_MS, T + MINUTE):
        worker.step(at)
    assert state(platform, one) == ("online", "")


def test_a_device_without_sessions(platform: App, worker: PresenceWorker) -> None:
    """HTTP, or a broker that does not say who is connected."""
    one = add(platform)
    says(platform, one, T)
    worker.step(T + MINUTE)
    assert state(platform, one) == ("online", "")
    says(platform, one, T + 2 * MINUTE, online=False, online_at=T + 2 * MINUTE)
    worker.step(T + 2 * MINUTE + 10)
    worker.step(T + 2 * MINUTE + 10 + HOLD_MS)
    assert state(platform, one) == ("offline", "reported offline")
    says(platform, one, T + 5 * MINUTE)
    worker.step(T + 5 * MINUTE + 10)
    assert state(platform, one) == ("online", "")


def test_a_long_keepalive_is_waited_for(platform: App, worker: PresenceWorker) -> None:
    one, two = add(platform), add(platform, "two")
    session(platform, LogKind.CONNECTED, T, one, keepalive=600)
    session(platform, LogKind.CONNECTED, T, two, keepalive=60)
    worker.step(T + 10)
    session(platform, LogKind.RUNNING, T + MINUTE)
    worker.step(T + MINUTE + 10)
    worker.step(T + MINUTE + GRACE + 10)
    assert (state(platform, one)[0], state(platform, two)) == ("online", ("offline", NOT_BACK))
    says(platform, one, T + MINUTE - 10)  # stored late: sent before the restart
    worker.step(T + MINUTE + GRACE + 20)
    # The platform was restarted, too: the keepalive is known from the record.
    worker = PresenceWorker(platform.database, lambda: platform.catalogue, GRACE)
    worker.step(T + 5 * MINUTE)
    worker.step(T + 5 * MINUTE + 900_000 - 1)
    assert state(platform, one)[0] == "online"
    worker.step(T + 5 * MINUTE + 900_000)
    assert state(platform, one) == ("offline", NOT_BACK)


def test_no_restart_makes_a_false_offline(platform: App, worker: PresenceWorker) -> None:
    """1,000 connected; the broker ends, with a will of each, and comes back; so do the devices."""
    many = [add(platform, f"d{number}") for number in range(100)]
    gone = many[-1]
    session(platform, LogKind.CONNECTED, T, *many)
    worker.step(T + 10)
    for successor, again in ((worker, T + MINUTE), (None, T + 10 * MINUTE)):
        # The ends are stored before the start: before the platform has stopped, or after.
        session(platform, LogKind.DISCONNECTED, again, *many)
        for one in many:
            says(platform, one, again + 5, online=False, online_at=again + 5)
        if successor is None:  # the platform was restarted as well
            worker = PresenceWorker(platform.database, lambda: platform.catalogue, GRACE)
        else:
            worker.step(again + 20)
        session(platform, LogKind.RUNNING, again + 2000)
        worker.step(again + 2100)
        session(platform, LogKind.CONNECTED, again + 3000, *many[:-1])
        for late in (HOLD_MS, 30_000, GRACE - 1):
            worker.step(again + 2000 + late)
            assert {state(platform, one)[0] for one in (many[0], gone)} == {"online"}
        worker.step(again + 3000 + GRACE)
        assert {history(platform, one)[0] for one in many[:-1]} == {"online"}
        assert state(platform, gone) == ("offline", NOT_BACK)
        session(platform, LogKind.CONNECTED, again + 4 * MINUTE, gone)
        worker.step(again + 4 * MINUTE + 10)
    with platform.database.read() as connection:
        c = presence_changes.c
        offline = connection.execute(
            sa.select(c.device_id).where(c.state == "offline").distinct()
        ).scalars()
        assert list(offline) == [gone.id]


def test_a_session_of_a_former_broker_is_none(platform: App, worker: PresenceWorker) -> None:
    """Events that waited at the broker come after the line that says that it was started."""
    one, two = add(platform), add(platform, "two")
    session(platform, LogKind.RUNNING, T)
    session(platform, LogKind.CONNECTED, T - 500, one)
    session(platform, LogKind.CONNECTED, T + 500, two)
    with platform.database.write() as connection:
        connection.execute(
            sa.update(device_state).values(connected=device_state.c.device_id == two.id)
        )
    worker.step(T + 1000)
    worker.step(T + GRACE + 1000)
    assert state(platform, one)[0] == "never_seen"
    assert state(platform, two)[0] == "online"


def test_what_nobody_had_read_before_the_platform_was_restarted(platform: App) -> None:
    """A device connects, and the platform is stopped before its worker has read of it."""
    one, two = add(platform), add(platform, "two")
    PresenceWorker(platform.database, lambda: platform.catalogue, GRACE).step(T)
    session(platform, LogKind.CONNECTED, T + 100, one, two)
    session(platform, LogKind.DISCONNECTED, T + 200, one, two, detail="-1")
    worker = PresenceWorker(platform.database, lambda: platform.catalogue, GRACE)
    for at in (T + MINUTE, T + MINUTE + 100, T + MINUTE + HOLD_MS):
        worker.step(at)
        assert {state(platform, each)[0] for each in (one, two)} == {"online"}
    session(platform, LogKind.CONNECTED, T + MINUTE + 2 * HOLD_MS, two)
    worker.step(T + MINUTE + 2 * HOLD_MS + 10)
    worker.step(T + MINUTE + GRACE)
    assert state(platform, one) == ("offline", NOT_BACK)
    assert state(platform, two)[0] == "online"


def test_an_end_that_was_never_reported(platform: App, worker: PresenceWorker) -> None:
    one = add(platform)
    session(platform, LogKind.CONNECTED, T, one)
    worker.step(T + 10)
    with platform.database.write() as connection:
        evidence.nobody_connected(connection, T + 20)
    worker.step(T + LAG_MS)
    worker.step(T + LAG_MS + HOLD_MS)
    assert state(platform, one) == ("offline", "connection closed")


def test_an_updating_device(platform: App, worker: PresenceWorker) -> None:
    one = add(platform)
    session(platform, LogKind.CONNECTED, T, one)
    says(platform, one, T + 100, announced_at=T + 100)
    worker.step(T + 200)
    session(platform, LogKind.DISCONNECTED, T + 300, one)
    worker.step(T + 5 * MINUTE)
    assert state(platform, one) == ("updating", "")
    session(platform, LogKind.CONNECTED, T + 6 * MINUTE, one)
    worker.step(T + 6 * MINUTE + 10)
    assert history(platform, one) == ["online", "updating", "online"]


def test_a_silent_device(platform: App, worker: PresenceWorker) -> None:
    one = add(platform)
    session(platform, LogKind.CONNECTED, T, one)
    worker.step(T + 10)
    with platform.database.write() as connection:
        connection.execute(
            sa.insert(channels).values(id=1, dialect="pulse", name="telemetry", kind="telemetry")
        )
        for number in range(21):
            at = T + number * 60_000
            connection.execute(
                sa.insert(messages).values(
                    device_id=one.id,
                    channel_id=1,
                    ts=at,
                    received_at=at,
                    time_source=0,
                    fingerprint=number,
                    payload="{}",
                )
            )
    newest = T + 20 * 60_000
    says(platform, one, newest)
    worker.step(newest + 1)
    assert state(platform, one)[0] == "online"
    worker.step(newest + 90_000 - 1)
    assert state(platform, one)[0] == "online"
    worker.step(newest + 90_000)
    assert state(platform, one)[0] == "silent"
    found = platform.service(DevicePresence).of(SYSTEM, "one")[1]
    assert (found.interval_ms, found.declared) == (60_000, False)
    says(platform, one, newest + 100_000)
    worker.step(newest + 100_001 + 30_000)
    assert state(platform, one)[0] == "online"


def test_a_flapping_device_has_a_short_history(platform: App, worker: PresenceWorker) -> None:
    one, at = add(platform), T
    for _ in range(40):
        session(platform, LogKind.CONNECTED, at, one)
        worker.step(at + 1)
        session(platform, LogKind.DISCONNECTED, at + 2, one)
        worker.step(at + 3)
        worker.step(at + 2 + HOLD_MS)
        at += 20_000
    assert state(platform, one)[0] == "flapping"
    assert history(platform, one)[0] == "flapping"
    assert len(history(platform, one)) == 6
    worker.step(at + 31 * MINUTE)
    assert state(platform, one)[0] == "offline"


def test_a_history_is_bounded(platform: App) -> None:
    one, two = add(platform), add(platform, "two")
    with platform.database.write() as connection:
        for at in range(store.HISTORY_MAX + 7):
            state = store.State.ONLINE
            for device in (one, two):
                store.add_changes(connection, [(device.id, store.Changed(at, state, ""))])
        kept = store.history(connection, one.id, 1000)
    assert [entry.at for entry in kept] == list(range(store.HISTORY_MAX + 6, 6, -1))


def test_a_removed_device_costs_nothing_else(platform: App, worker: PresenceWorker) -> None:
    one, two = add(platform), add(platform, "two")
    session(platform, LogKind.CONNECTED, T, one, two)
    worker.step(T + 10)
    session(platform, LogKind.DISCONNECTED, T + 20, one, two)
    platform.devices.remove(SYSTEM, "one")
    worker.step(T + 30)
    worker.step(T + 20 + HOLD_MS)
    worker.step(T + 20 + LAG_MS)
    assert state(platform, two)[0] == "offline"


def test_a_step_costs_what_has_changed(platform: App, worker: PresenceWorker) -> None:
    """A quiet fleet writes nothing, and telemetry of a fleet is not read."""
    many = [add(platform, f"d{number}") for number in range(20)]
    session(platform, LogKind.CONNECTED, T, *many)
    worker.step(T + 10)
    written: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("SELECT"):
            written.append(statement)

    for one in many:
        says(platform, one, T + 1000)
    sa.event.listen(platform.database.engine, "before_cursor_execute", note)
    try:
        for second in range(2, 20):
            worker.step(T + second * 1000)
    finally:
        sa.event.remove(platform.database.engine, "before_cursor_execute", note)
    assert [one for one in written if not one.startswith(("BEGIN", "COMMIT", "ROLLBACK"))] == []


def test_nothing_is_read_again_until_something_has_changed(
    platform: App, worker: PresenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    step = worker.step
    monkeypatch.setattr(worker, "step", lambda now: steps.append(now) or step(now))

    def needed(at: int) -> bool:
        """Whether a step was made; the second look finds that all of it is done."""
        before = len(steps)
        for _ in range(3):
            assert not worker.look(at)
        assert len(steps) - before < 3
        return len(steps) > before

    one = add(platform)
    worker.look(T)
    worker.look(T)
    assert not needed(T + 1)
    session(platform, LogKind.CONNECTED, T + 2, one)
    assert needed(T + 3)
    assert state(platform, one) == ("online", "")
    says(platform, one, T + 4, online=True, online_at=T + 4)
    assert needed(T + 5)
    session(platform, LogKind.DISCONNECTED, T + 6, one)
    assert needed(T + 7)
    assert not needed(T + 8)
    assert needed(T + 6 + HOLD_MS), "its time is over though nothing was committed"
    assert state(platform, one)[0] == "offline"
    two = add(platform, "two")
    says(platform, two, T + 9, online=True, online_at=T + 3)  # committed later than others
    assert needed(T + 7 + HOLD_MS)
    says(platform, two, T + 10, announced_at=T + 10)
    assert needed(T + 8 + HOLD_MS)
    assert not needed(T + 9 + HOLD_MS)
    assert needed(T + SWEEP_MS), "devices that nobody announced are looked for"
