"""What devices say of themselves, and when they were last heard."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.dialects.payload import PayloadLimits
from mooring.ingest.sink import Sink
from mooring.ota.updates.projection import FirmwareVersions
from mooring.presence.firmware_store import VERSIONS_MAX, add_versions, versions_of
from mooring.presence.projection import DeviceState, LastSeen
from mooring.presence.state import METADATA_MAX, Known, advance
from mooring.store.engine import Database
from mooring.store.schema import device_state, devices
from mooring.store.version_key import version_key
from tests.conformance.projections.conftest import OpenDesk
from tests.support.projecting import NOW, Desk, add_devices, packet, registered

STATUS, READING = "mooring/acme/a/status", "mooring/acme/a/telemetry"
WILL = "tenant/acme/device/trap/status"
MIN = 60_000


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    return open_desk(*registered())


def state(database: Database, device: int = 1) -> dict[str, Any]:
    with database.read() as connection:
        row = connection.execute(
            sa.select(device_state).where(device_state.c.device_id == device)
        ).one()
    found = dict(row._mapping)
    found["metadata"] = json.loads(found["metadata"] or "null")
    return found


def test_seen(database: Database, desk: Desk) -> None:
    for at in (NOW + 5, NOW):
        desk.batch([packet(READING, {"values": {}})], at)
        assert state(database)["last_seen_at"] == NOW + 5
    assert state(database)["online"] is None


def test_a_bad_payload_is_a_sign_of_life(database: Database, desk: Desk) -> None:
    desk.batch([packet(READING, b"{")])
    assert state(database)["last_seen_at"] == NOW


def test_what_the_broker_had_kept_is_no_sign_of_life(database: Database, desk: Desk) -> None:
    kept = packet(STATUS, {"online": True, "meta": {"firmware": "1.2"}}, retain=True)
    desk.batch([kept])
    found = state(database)
    assert (found["last_seen_at"], found["online"], found["firmware"]) == (None, True, "1.2")
    desk.batch([packet(READING, {"values": {}})], NOW + 1)
    desk.batch([packet(STATUS, {"online": False}, retain=True)], NOW + 9)
    found = state(database)
    assert (found["last_seen_at"], found["online"]) == (NOW + 1, False)


def test_what_a_device_says_counts_more_than_what_was_kept(database: Database, desk: Desk) -> None:
    live = packet(STATUS, {"online": True, "meta": {"ip": "new"}})
    desk.batch([live, packet(STATUS, {"online": False, "meta": {"ip": "old"}}, retain=True)])
    found = state(database)
    assert (found["online"], found["metadata"]) == (True, {"ip": "new"})


def test_online_since(database: Database, desk: Desk) -> None:
    said = [(0, True, 0), (1, True, 0), (2, False, 2), (3, True, 3)]
    for at, online, since in said:
        desk.batch([packet(STATUS, {"online": online})], NOW + at)
        found = state(database)
        assert (found["online"], found["online_at"]) == (online, NOW + since)
    desk.batch([packet(READING, {"values": {}})], NOW + 9)
    assert state(database)["online_at"] == NOW + 3


@pytest.mark.parametrize("same_batch", [True, False], ids=["one-batch", "later-batch"])
def test_a_status_from_a_drained_queue_changes_nothing(
    database: Database, desk: Desk, same_batch: bool
) -> None:
    """A device that was away says first what it is now, and then empties its queue."""
    now = {"ts": NOW, "online": False, "meta": {"firmware": "2.0", "ip": "b"}}
    old = {"ts": NOW - MIN, "online": True, "meta": {"firmware": "1.0", "ip": "a"}}
    if same_batch:
        desk.batch([packet(STATUS, now), packet(STATUS, old)])
    else:
        desk.batch([packet(STATUS, now)])
        desk.batch([packet(STATUS, old)], NOW + 5000)
    found = state(database)
    assert (found["online"], found["firmware"], found["online_at"]) == (False, "2.0", NOW)
    assert found["metadata"] == {"ip": "b"}


@pytest.mark.parametrize("same_batch", [True, False], ids=["one-batch", "later-batch"])
def test_a_last_will_with_the_time_of_its_connection_counts(
    database: Database, desk: Desk, same_batch: bool
) -> None:
    """Firmware that puts a time into every payload writes its will before all it says."""
    will = packet(STATUS, {"ts": NOW, "online": False})
    beats = [packet(STATUS, {"ts": NOW + at * MIN, "online": True}) for at in (1, 2)]
    if same_batch:
        desk.batch([*beats, will], NOW + 3 * MIN)
    else:
        desk.batch(beats, NOW + 2 * MIN)
        desk.batch([will], NOW + 3 * MIN)
    assert state(database)["online"] is False
    desk.batch([packet(STATUS, {"ts": NOW + MIN, "online": True})], NOW + 4 * MIN)  # is late
    assert state(database)["online"] is False
    desk.batch([packet(STATUS, {"ts": NOW + 5 * MIN, "online": True})], NOW + 5 * MIN)
    assert state(database)["online"] is True


def test_a_reading_from_a_drained_queue_keeps_the_firmware(database: Database, desk: Desk) -> None:
    desk.batch([packet(READING, {"ts": NOW, "values": {}, "meta": {"firmware": "2.0"}})])
    desk.batch([packet(READING, {"ts": NOW - MIN, "values": {}, "meta": {"firmware": "1.0"}})])
    assert state(database)["firmware"] == "2.0"


def test_a_last_will_has_no_clock_and_counts(database: Database, desk: Desk) -> None:
    desk.batch([packet(STATUS, {"ts": NOW + 5, "online": True})])
    desk.batch([packet(STATUS, {"online": False})], NOW + 10)
    assert state(database)["online"] is False
    # The device is back; its clock is behind ours.
    desk.batch([packet(STATUS, {"ts": NOW - MIN, "online": True})], NOW + 20)
    assert state(database)["online"] is True


def test_a_clock_that_is_ahead_does_not_keep_the_place(database: Database, desk: Desk) -> None:
    desk.batch([packet(STATUS, {"ts": NOW + 20 * 3_600_000, "online": True})])
    desk.batch([packet(STATUS, {"ts": NOW + 500, "online": False})], NOW + 1000)
    assert state(database)["online"] is False


def test_what_is_not_said_stays(database: Database, desk: Desk) -> None:
    desk.batch([packet(STATUS, {"online": True, "meta": {"firmware": "1.2"}})])
    desk.batch([packet(READING, {"values": {}, "meta": {"firmware": "1.3"}})], NOW + 1)
    desk.batch([packet(READING, {"values": {}})], NOW + 2)
    found = state(database)
    assert (found["last_seen_at"], found["online"], found["firmware"]) == (NOW + 2, True, "1.3")


@pytest.mark.parametrize("same_batch", [True, False], ids=["one-batch", "each-its-own"])
def test_metadata_is_merged(database: Database, desk: Desk, same_batch: bool) -> None:
    """Also within a batch: what a device says once after it has started is not lost behind the
    next reading."""
    said = [
        {"ip": "10.0.0.1", "rssi": -70, "ok": True, "v": 1.5},
        {"rssi": -60, 'ssid "x"\\': "Büro"},
        None,
    ]
    some = [packet(READING, {"values": {}} | ({"meta": one} if one else {})) for one in said]
    if same_batch:
        desk.batch(some)
    else:
        for one in some:
            desk.batch([one])
    assert state(database)["metadata"] == {
        "ip": "10.0.0.1",
        "rssi": -60,
        "ok": True,
        "v": 1.5,
        'ssid "x"\\': "Büro",
    }


def test_metadata_does_not_grow_without_end(database: Database, desk: Desk) -> None:
    """A device that makes up new names with every message."""
    for n in range(9):
        newest = {f"{n}-{m}": "x" * 90 for m in range(256)}
        desk.batch([packet(STATUS, {"meta": newest})])
    kept = state(database)["metadata"]
    assert len(json.dumps(kept, separators=(",", ":"))) <= METADATA_MAX
    assert kept.items() >= newest.items()


def test_presence_said_as_text(database: Database, desk: Desk) -> None:
    for will, online in ((b"online", True), (b"OFFLINE\n", False), (b"rebooting", False)):
        desk.batch([packet(WILL, will)])
        assert state(database, 4)["online"] is online


def test_other_columns_are_left_alone(database: Database, desk: Desk) -> None:
    """Who is connected comes from the broker."""
    desk.batch([packet(STATUS, {"online": True})])
    with database.write() as connection:
        connection.execute(sa.update(device_state).values(connected=True, address="10.0.0.9"))
    desk.batch([packet(STATUS, {"online": False})])
    found = state(database)
    assert (found["online"], found["connected"], found["address"]) == (False, True, "10.0.0.9")


def test_the_sink_is_closed_with_its_shared_connection(open_desk: OpenDesk) -> None:
    sink: Sink = open_desk(*registered()).sink
    sink.versions()
    sink.close()
    sink.close()


def versions(database: Database, device: int = 1) -> list[tuple[int, str]]:
    with database.read() as connection:
        return [tuple(one) for one in versions_of(connection, device)]


def reports(version: str, at: int | None = None) -> dict[str, Any]:
    return {"online": True, "meta": {"firmware": version}} | ({} if at is None else {"ts": at})


def test_each_change_of_firmware_is_kept_with_its_time(database: Database, desk: Desk) -> None:
    add_devices(database)
    desk.batch([packet(STATUS, reports(one, NOW)) for one in ("1.0", "1.0", "1.1")], NOW)
    desk.batch([packet(STATUS, reports("1.1", NOW + 1))], NOW + 1)
    desk.batch([packet(STATUS, reports("1.0", NOW - MIN)), packet(READING, {"values": {}})])
    desk.batch([packet(STATUS, reports("1.0", NOW + MIN))], NOW + 2 * MIN)
    assert versions(database) == [(NOW, "1.0"), (NOW, "1.1"), (NOW + MIN, "1.0")]


def test_a_device_that_reports_another_version_each_time_keeps_the_newest(
    database: Database, desk: Desk
) -> None:
    add_devices(database)
    for batch in range(3):
        some = [reports(f"1.{batch}.{n}", NOW + batch * 100 + n) for n in range(VERSIONS_MAX)]
        desk.batch([packet(STATUS, one) for one in some], NOW + batch * 100)
    found = versions(database)
    assert len(found) == VERSIONS_MAX
    assert found[-1] == (NOW + 200 + VERSIONS_MAX - 1, f"1.2.{VERSIONS_MAX - 1}")


def test_a_device_that_is_gone_leaves_no_version(database: Database, desk: Desk) -> None:
    add_devices(database)
    desk.batch([packet(STATUS, reports("1.0"))])
    with database.write() as connection:
        connection.execute(sa.delete(devices).where(devices.c.id == 1))
    assert versions(database) == []
    with database.write() as connection:
        add_versions(connection, [(1, NOW, "1.1")])
    assert versions(database) == []


about = st.dictionaries(
    st.sampled_from(["signal", "ip", "firmware"]), st.sampled_from(["1.0", "1.1"]), max_size=3
)
said = st.fixed_dictionaries(
    {"meta": about}, optional={"ts": st.integers(NOW - 3, NOW), "online": st.booleans()}
)
message = st.tuples(st.sampled_from([STATUS, READING, "mooring/rival/b/telemetry"]), said)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(message, min_size=1, max_size=6), max_size=4))
def test_however_messages_are_cut_into_batches(
    database: Database, open_desk: OpenDesk, batches: list[list[tuple[str, dict[str, Any]]]]
) -> None:
    """As if each was looked at on its own."""
    with database.write() as connection:
        connection.execute(sa.delete(device_state))
    speaking = DeviceState(PayloadLimits())
    desk = open_desk(LastSeen(), speaking, FirmwareVersions())
    expected: dict[int, Known] = {}
    for at, batch in enumerate(batches, NOW):
        packets = [packet(topic, body) for topic, body in batch]
        for one in packets:
            plan = desk.plan([one], at)
            for row in speaking.plan(plan.facts[1]) or () if plan.facts[1] else ():
                expected[row.device] = advance(expected.get(row.device, Known()), row)
        desk.batch(packets, at)
    desk.close()
    for device, known in expected.items():
        found = state(database, device)
        metadata = json.loads(known.metadata or "null")
        assert {name: found[name] for name in Known._fields} == {
            **known._asdict(),
            "metadata": metadata,
        }
        assert found["firmware_key"] == (known.firmware and version_key(known.firmware))
