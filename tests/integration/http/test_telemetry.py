"""Reading back what devices said: the service on a real database."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mooring.app import App
from mooring.devices.model import Device
from mooring.dialects import PayloadShape
from mooring.errors import NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.store.engine import now_ms
from mooring.store.processes import Heartbeat
from mooring.telemetry import service
from mooring.telemetry.model import Key, Page, Reading
from tests.integration.http.rows import (
    IMPLAUSIBLE,
    NO_TIME,
    AddDevice,
    say,
    seen,
    spoil,
    stranger,
    tally,
)

T0 = 1_771_000_000_000
A, B = Actor("a", Role.VIEWER, "a"), Actor("b", Role.VIEWER, "b")


@pytest.fixture
def lamp(add_device: AddDevice) -> Device:
    return add_device("lamp")


def telemetry_shape(platform: App) -> PayloadShape:
    channel = platform.catalogue.get("smarthome").channel("telemetry")
    assert channel is not None
    return channel.payload


def as_sent(platform: App, values: dict[str, Any]) -> dict[str, Any]:
    """Readings where the dialect has them in a payload."""
    for key in reversed(telemetry_shape(platform).values):
        values = {key: values}
    return values


@pytest.mark.parametrize(
    ("payload", "values"),
    [
        ("[1, 2]", {}),  # text, where an object or text is taken
        ("offline", {}),
        ('{"battery": nan, "rssi": -61}', {"rssi": -61}),
    ],
)
def test_only_an_object_has_readings(
    platform: App, add_device: AddDevice, payload: str, values: dict[str, Any]
) -> None:
    trap = add_device("trap", dialect="mousetrap", mac="AA:BB:CC:DD:EE:01")
    say(platform.database, trap, T0, payload, channel="status", kind="status")
    [said] = platform.telemetry.latest(SYSTEM, trap)
    assert said.values == values
    assert values or said.payload == payload


def test_latest_is_flattened_as_the_dialect_says(platform: App, lamp: Device) -> None:
    payload = telemetry_shape(platform).example
    say(platform.database, lamp, T0, payload, seq=4)
    say(platform.database, lamp, T0 + 1, '{"status":"online"}', channel="status", kind="status")
    status, telemetry = platform.telemetry.latest(SYSTEM, lamp)
    assert (status.channel, status.kind, status.ts) == ("status", "status", T0 + 1)
    assert telemetry.received_at == T0 + 5
    assert telemetry.time_source == "device"
    assert telemetry.payload == json.loads(payload)
    assert telemetry.values
    assert all(not isinstance(value, dict | list) for value in telemetry.values.values())


@pytest.mark.parametrize(("number", "word"), [(NO_TIME, "received"), (IMPLAUSIBLE, "implausible")])
def test_the_source_of_a_time_is_told(platform: App, lamp: Device, number: int, word: str) -> None:
    say(platform.database, lamp, T0, {"x": 1}, time_source=number)
    assert platform.telemetry.latest(SYSTEM, lamp)[0].time_source == word


def test_a_payload_that_is_no_json_is_given_as_text(platform: App, lamp: Device) -> None:
    say(platform.database, lamp, T0, "on fire", channel="was_declared_once", kind="event")
    (said,) = platform.telemetry.latest(SYSTEM, lamp)
    assert (said.payload, said.values) == ("on fire", {})


def test_latest_of_many_is_one_list_in_the_order_of_adding(
    platform: App, add_device: AddDevice
) -> None:
    devices = [add_device(f"d{number}", tenant="ab"[number % 2]) for number in range(5)]
    for device in devices[:4]:
        say(platform.database, device, T0, {"n": device.id})
        say(platform.database, device, T0, {"status": "online"}, channel="status", kind="status")
    seen(platform.database, devices[0], online=True, last_seen_at=T0, firmware="1.2")
    found = platform.telemetry.latest_many(SYSTEM, limit=100)
    assert [one.name for one in found] == ["d0", "d1", "d2", "d3", "d4"]
    assert [len(one.readings) for one in found] == [2, 2, 2, 2, 0]
    assert (found[0].online, found[0].last_seen_at, found[0].firmware) == (True, T0, "1.2")
    assert found[1].online is None
    assert [one.name for one in platform.telemetry.latest_many(SYSTEM, limit=2)] == ["d0", "d1"]
    after = platform.telemetry.latest_many(SYSTEM, limit=2, after=devices[1].id)
    assert [one.name for one in after] == ["d2", "d3"]
    assert [one.name for one in platform.telemetry.latest_many(B)] == ["d1", "d3"]
    assert len(platform.telemetry.latest_many(SYSTEM, tenant="a")) == 3
    with pytest.raises(NotFound):
        platform.telemetry.latest_many(B, tenant="a")


# ------------------------------------------------------------------ history


def walk(read: Callable[..., Page[Reading]], limit: int) -> list[int | None]:
    """Row numbers of every page put together."""
    cursor: Key | None = None
    found: list[int | None] = []
    while True:
        page = read(limit=limit, cursor=cursor)
        found += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_hold_every_message_once_in_order(
    platform: App, lamp: Device, newest_first: bool, limit: int
) -> None:
    """Also where many messages have the same time."""
    for ts in (5, 1, 1, 1, 9, 3, 1, 9):
        say(platform.database, lamp, T0 + ts, {"t": ts})

    def read(**page: Any) -> Page[Reading]:
        return platform.telemetry.history(SYSTEM, lamp, newest_first=newest_first, **page)

    everything = read(limit=100).items
    order = [(item.ts, item.id) for item in everything]
    assert order == sorted(order, reverse=newest_first)
    assert len(order) == 8
    assert walk(read, limit) == [item.id for item in everything]


def test_history_is_bounded_by_time_and_channel(platform: App, lamp: Device) -> None:
    for ts in range(5):
        say(platform.database, lamp, T0 + ts, {"t": ts}, seq=ts)
    say(platform.database, lamp, T0 + 2, {"status": "on"}, channel="status", kind="status")
    history = platform.telemetry.history
    found = history(SYSTEM, lamp, start=T0 + 1, end=T0 + 3)
    assert [(item.ts - T0, item.channel) for item in found.items] == [
        (1, "telemetry"),
        (2, "telemetry"),
        (2, "status"),
    ]
    found = history(SYSTEM, lamp, channel="telemetry", start=T0 + 4)
    assert [item.seq for item in found.items] == [4]
    assert history(SYSTEM, lamp, channel="heartbeat").items == []
    with pytest.raises(NotFound, match="no channel nothing"):
        history(SYSTEM, lamp, channel="nothing")


def test_a_device_has_its_own_history_only(platform: App, add_device: AddDevice) -> None:
    one, other = add_device("one"), add_device("other")
    say(platform.database, one, T0, {"x": 1})
    assert platform.telemetry.history(SYSTEM, other).items == []


def test_points_of_one_metric(platform: App, lamp: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SCAN_CHUNK", 3)
    for ts in range(20):
        values = {"gps": {"lat": ts}} if ts % 2 else {"other": 1}
        say(platform.database, lamp, T0 + ts, as_sent(platform, values))
    points = platform.telemetry.points
    page = points(SYSTEM, lamp, "gps.lat", limit=4)
    assert [point.value for point in page.items] == [1, 3, 5, 7]
    rest = points(SYSTEM, lamp, "gps.lat", limit=100, cursor=page.next)
    assert [point.value for point in rest.items] == [9, 11, 13, 15, 17, 19]
    assert rest.next is None
    newest = points(SYSTEM, lamp, "gps.lat", limit=2, newest_first=True, end=T0 + 18)
    assert [point.value for point in newest.items] == [17, 15]
    assert points(SYSTEM, lamp, "nothing").items == []


def test_a_page_of_points_looks_at_a_bounded_number_of_rows(
    platform: App, lamp: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SCAN_CHUNK", 2)
    monkeypatch.setattr(service, "SCAN_MAX", 4)
    for ts in range(9):
        values = {"x": ts} if ts == 8 else {"y": ts}
        say(platform.database, lamp, T0 + ts, as_sent(platform, values))
    page = platform.telemetry.points(SYSTEM, lamp, "x")
    assert page.items == []
    assert page.next is not None
    page = platform.telemetry.points(SYSTEM, lamp, "x", cursor=page.next)
    assert (page.items, page.next is None) == ([], False)
    page = platform.telemetry.points(SYSTEM, lamp, "x", cursor=page.next)
    assert [point.value for point in page.items] == [8]


# ------------------------------------------------------------------ the rest


def test_a_metric_that_is_absent_costs_no_parsing(
    platform: App, lamp: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that might be there has a bound in bytes, behind which the next page begins."""
    for minute in range(20):
        text = as_sent(platform, {"temperature": minute})
        say(platform.database, lamp, T0 + minute * 60_000, text)
    parsed: list[object] = []
    reading = service.Telemetry._reading

    def counted(self: service.Telemetry, dialect: str, row: Any) -> Reading:
        parsed.append(row)
        return reading(self, dialect, row)

    monkeypatch.setattr(service.Telemetry, "_reading", counted)
    page = platform.telemetry.points(A, lamp, "absent", limit=50)
    assert (page.items, page.next, parsed) == ([], None, [])
    monkeypatch.setattr(service, "SCAN_BYTES", 1)
    page = platform.telemetry.points(A, lamp, "temperature", limit=50)
    assert len(parsed) == len(page.items) == 1
    assert page.next is not None


def test_state_is_what_was_said(platform: App, lamp: Device) -> None:
    assert platform.states.of(SYSTEM, lamp).online is None
    seen(
        platform.database,
        lamp,
        last_seen_at=T0,
        online=True,
        online_at=T0 - 1,
        firmware="1.2.3",
        metadata='{"rssi":-60}',
        metadata_at=T0,
        connected=False,
        connected_at=T0,
        address="10.0.0.9",
    )
    state = platform.states.of(SYSTEM, lamp)
    assert (state.online, state.connected, state.firmware) == (True, False, "1.2.3")
    assert state.metadata == {"rssi": -60}
    assert state.address == "10.0.0.9"


def test_dead_letters_newest_first(platform: App, lamp: Device) -> None:
    for number in range(5):
        spoil(platform.database, T0 + number, bytes([number, 255]), device=lamp)
    spoil(platform.database, T0 + 9, b"?", reason="unknown_topic")
    page = platform.telemetry.dead_letters(SYSTEM, limit=2)
    assert [letter.received_at - T0 for letter in page.items] == [9, 4]
    assert page.items[0].device is None
    assert (page.items[1].device, page.items[1].payload) == ("lamp", b"\x04\xff")
    page = platform.telemetry.dead_letters(SYSTEM, limit=10, cursor=page.next)
    assert [letter.received_at - T0 for letter in page.items] == [3, 2, 1, 0]
    assert page.next is None
    only = platform.telemetry.dead_letters(SYSTEM, reason="unknown_topic")
    assert len(only.items) == 1
    assert len(platform.telemetry.dead_letters(A, device=lamp).items) == 5
    assert len(platform.telemetry.dead_letters(A).items) == 5
    assert platform.telemetry.dead_letters(B).items == []


def test_strangers_who_was_heard_last_comes_first(platform: App) -> None:
    for number, name in enumerate(["x", "y", "z", "zz"]):
        stranger(platform.database, name, T0 + number // 2, tenant="ab"[number % 2])
    page = platform.telemetry.strangers(SYSTEM, limit=1)
    names = []
    while True:
        names += [one.name for one in page.items]
        if page.next is None:
            break
        page = platform.telemetry.strangers(SYSTEM, limit=1, cursor=page.next)
    assert names == ["z", "zz", "x", "y"]
    assert [one.name for one in platform.telemetry.strangers(A).items] == ["z", "x"]


def test_overview_counts(platform: App, add_device: AddDevice) -> None:
    lamp, plug, other = add_device("lamp"), add_device("plug"), add_device("other", tenant="b")
    seen(platform.database, lamp, online=True, connected=True)
    seen(platform.database, plug, online=False, connected=True)
    seen(platform.database, other, online=True)
    spoil(platform.database, T0, b"x", tenant="a")
    spoil(platform.database, T0, b"x")
    stranger(platform.database, "x", T0, tenant="b")
    tally(platform.database, messages_stored=17)
    beat = Heartbeat(platform.database, "ingest", lambda: {"rate": 3})
    beat.beat()
    everything = platform.telemetry.overview(SYSTEM)
    assert (everything.devices, everything.online, everything.connected) == (3, 2, 2)
    assert (everything.dead_letters, everything.strangers) == (2, 1)
    assert everything.counters == {"messages_stored": 17}
    assert everything.broker_changes_pending == 3
    assert [(p.role, p.alive, p.detail) for p in everything.processes] == [
        ("ingest", True, {"rate": 3})
    ]
    assert abs(everything.processes[0].beat_at - now_ms()) < 60_000
    mine = platform.telemetry.overview(A)
    assert (mine.devices, mine.online, mine.dead_letters, mine.strangers) == (2, 1, 1, 0)
    assert (mine.counters, mine.broker_changes_pending, mine.processes) == ({}, 0, [])


def test_nothing_of_another_tenants_device_is_read(platform: App, lamp: Device) -> None:
    telemetry = platform.telemetry
    for call in (telemetry.latest, platform.states.of, telemetry.history):
        with pytest.raises(NotFound):
            call(B, lamp)
    with pytest.raises(NotFound):
        telemetry.points(B, lamp, "x")
    with pytest.raises(NotFound):
        telemetry.dead_letters(B, device=lamp)
