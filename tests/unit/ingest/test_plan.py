"""Packets in, rows out: everything ingest decides about a message."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import pytest
from mqtt5 import PublishPacket, QoS

from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.dialects.payload import PayloadLimits
from mooring.ingest.dead_budget import BYTES_MAX, LETTERS_MAX
from mooring.ingest.facts import Fact
from mooring.ingest.ledger import Ledger
from mooring.ingest.plan import REGISTRATION_MAX, Plan
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import CACHE_LIMIT, Route, RouteTable, Unroutable
from mooring.link.protocol import Broken
from mooring.presence.projection import DeviceState, LastSeen
from mooring.presence.state import Known, advance
from mooring.sequences.projection import SequenceNumbers

NOW = 1_771_000_000_000
CATALOGUE = load_all(None)
IDS = {
    (dialect.name, channel.name): number
    for number, (dialect, channel) in enumerate(
        ((d, c) for d in CATALOGUE.all() for c in d.channels), start=1
    )
}

ALL = [LastSeen(), DeviceState(PayloadLimits()), SequenceNumbers()]
PROJECTIONS = Projections(ALL)


def device(
    number: int, name: str, dialect: str, tenant: str = "1", mac: str | None = None
) -> Device:
    return Device(number, tenant, name, "", dialect, mac, name, name, True, 0)


DEVICES = [
    device(1, "ESP32_001", "smarthome"),
    device(2, "trap", "mousetrap", "acme", "AA:BB:CC:DD:EE:01"),
    device(3, "k", "mooring", "default"),
    device(4, "cab", "drivesafe", "default"),
    device(5, "gone", "no-such-dialect", "default"),
]


def planner(*, ledger: Ledger | None = None, unique: int = 1000) -> Planner:
    limits = PayloadLimits()
    registry = DeviceIndex.of(DEVICES, CATALOGUE)
    routes = RouteTable(CATALOGUE, registry, IDS, limits, interests=PROJECTIONS)
    return Planner(routes, ledger or Ledger(100), limits, first_unique=unique)


def facts(plan: Plan, name: str) -> list[Fact]:
    """Those that a projection gets."""
    return plan.facts[[one.name for one in ALL].index(name)]


def said(plan: Plan, device_id: int) -> Known:
    """What a batch says of a device, of which nothing was known."""
    known = Known()
    for one in DeviceState(PayloadLimits()).plan(facts(plan, "device state")) or ():
        if one.device == device_id:
            known = advance(known, one)
    return known


def message(
    topic: str, payload: object, *, number: int | None = 1, duplicate: bool = False
) -> PublishPacket:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    if number is None:
        return PublishPacket(topic, body)
    return PublishPacket(topic, body, qos=QoS.AT_LEAST_ONCE, packet_id=number, duplicate=duplicate)


TELEMETRY = "smarthome/1/ESP32_001/telemetry"


def test_a_reading_becomes_a_row_with_both_times() -> None:
    plan = planner().plan(
        [message(TELEMETRY, {"timestamp": "2026-02-13T12:00:00Z", "sensors": {"t": 1}})], NOW
    )
    [row] = plan.messages
    assert row[:6] == (1, IDS["smarthome", "telemetry"], 1_770_984_000_000, NOW, None, 0)
    assert json.loads(row[7])["sensors"] == {"t": 1}
    assert plan.dead == []
    assert plan.packets == [(1, crc32(row[7].encode()))]


def test_millis_since_boot_fall_back_to_the_receive_time() -> None:
    """Also where the number could be the seconds since 1970: after 16.4 to 20.8 days."""
    for days in (0.001, 16.4, 17, 18.5, 20.7, 20.8, 30, 49.7):
        body = {"timestamp": str(int(days * 86_400_000)), "sensors": {}}
        [row] = planner().plan([message(TELEMETRY, body)], NOW).messages
        assert (row[2], row[5]) == (NOW, 1), days


def test_equal_messages_without_a_time_are_both_meant() -> None:
    twice = [message("device/data/cab", {"v": 1}, number=n) for n in (1, 2)]
    plan = planner().plan(twice, NOW)
    assert len({row[6] for row in plan.messages}) == 2


@pytest.mark.parametrize("at", [NOW, NOW + 123, "2026-02-13T12:00:00Z"])
def test_equal_messages_with_a_time_are_both_meant(at: object) -> None:
    """Two presses in one whole second; a clock that stands still."""
    packets = [message("device/data/cab", {"timestamp": at, "v": 1}, number=n) for n in range(1, 6)]
    plan = planner().plan(packets, NOW)
    assert len({row[6] for row in plan.messages}) == 5


@pytest.mark.parametrize("time", [{"timestamp": NOW}, {}, {"timestamp": 5}])
def test_what_a_device_repeats_is_known_by_its_number(time: dict[str, int]) -> None:
    body = {"seq": 7, **time, "v": 1}
    packets = [message("device/data/cab", body, number=n) for n in (1, 2)]
    plan = planner().plan(packets, NOW)
    assert len({row[6] for row in plan.messages}) == 1


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("time", [{}, {"timestamp": 5}], ids=["no-time", "uptime"])
def test_a_device_that_counts_from_the_start_after_each_boot(
    first: int, time: dict[str, int]
) -> None:
    """And has no clock: nothing of a later boot equals anything of an earlier one."""
    ours = planner()
    marks = []
    for _ in range(3):
        packets = [
            message("device/data/cab", {"seq": seq, **time, "v": 1}, number=seq + 1)
            for seq in range(first, first + 3)
        ]
        marks += [row[6] for row in ours.plan(packets, NOW).messages]
    assert len(set(marks)) == 9


SENSORS = """
name = "sensors"
title = "Sensors"
username = "{device}"

[placeholders]
device = "device"
sensor = "name"

[payload]
time = ["ts"]
sequence = "seq"

[[channels]]
name = "telemetry"
topic = "sensors/{device}/{sensor}"
direction = "up"
kind = "telemetry"
"""


def test_free_words_of_the_topic_tell_messages_apart(tmp_path: Path) -> None:
    """Two sensors of one device that count on their own, with equal payloads."""
    (tmp_path / "sensors.toml").write_text(SENSORS)
    catalogue = load_all(tmp_path)
    routes = RouteTable(
        catalogue,
        DeviceIndex.of([device(9, "box", "sensors")], catalogue),
        {("sensors", "telemetry"): 1},
        PayloadLimits(),
    )
    for body in ({"seq": 5, "v": 1}, {"seq": 5, "ts": NOW, "v": 1}, {"ts": NOW, "v": 1}):
        ours = Planner(routes, Ledger(10), PayloadLimits())
        packets = [message(f"sensors/box/{word}", body) for word in ("in", "out")]
        plan = ours.plan(packets, NOW)
        assert len({row[6] for row in plan.messages}) == 2


STATUS = "mooring/default/k/status"


def retained(topic: str, payload: object) -> PublishPacket:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return PublishPacket(topic, body, retain=True)


def test_a_retained_message_that_comes_again_says_nothing() -> None:
    """A dialect was removed and put back, or our session began anew."""
    ours = planner()
    body = {"online": True}
    [first] = ours.plan([message(STATUS, body)], NOW).messages
    plan = ours.plan([retained(STATUS, body)], NOW + 99_000)
    ours.settle(plan, {(first[0], first[1]): first[7]})
    assert (plan.messages, plan.newest, plan.repeated) == ([], {}, 1)
    assert not any(plan.facts)


def test_a_retained_message_that_is_news_is_stored_and_no_sign_of_life() -> None:
    ours = planner()
    plan = ours.plan([retained(STATUS, {"online": False, "firmware": "2"})], NOW)
    assert plan.messages == []
    ours.settle(plan, {(3, IDS["mooring", "status"]): '{"online":true}'})
    assert len(plan.messages) == len(plan.routes) == len(plan.newest) == 1
    assert said(plan, 3).online is False
    assert facts(plan, "last seen") == []


def test_what_a_device_says_now_is_newer_than_what_the_broker_had_kept() -> None:
    ours = planner()
    plan = ours.plan(
        [
            retained(STATUS, {"online": False, "metadata": {"a": 1}}),
            message("mooring/default/k/heartbeat", {"uptime": 1}),
        ],
        NOW,
    )
    ours.settle(plan, {})
    assert len(plan.messages) == 2
    assert said(plan, 3).online is True
    assert LastSeen().plan(facts(plan, "last seen")) == [(3, NOW)]


@pytest.mark.parametrize("topic", [STATUS, "smarthome/1/ESP32_001/status"])
def test_a_retained_message_that_is_removed_is_no_dead_letter(topic: str) -> None:
    plan = planner().plan([message(topic, b"")], NOW)
    assert (plan.dead, plan.messages, plan.cleared) == ([], [], 1)
    assert not any(plan.facts)


def test_an_empty_reading_is_a_dead_letter() -> None:
    plan = planner().plan([message(TELEMETRY, b"")], NOW)
    assert ([d.reason for d in plan.dead], plan.cleared) == (["empty"], 0)


def test_the_same_payload_on_two_channels_is_two_messages() -> None:
    body = {"timestamp": NOW, "online": True}
    topics = ("smarthome/1/ESP32_001/status", "smarthome/1/ESP32_001/heartbeat")
    plan = planner().plan([message(topic, body, number=None) for topic in topics], NOW)
    assert len({row[6] for row in plan.messages}) == 2


def test_a_repetition_of_something_committed_is_acknowledged_and_not_written() -> None:
    ledger = Ledger(100)
    body = b'{"v":1}'
    ledger.committed(1, [(9, crc32(body))])
    again = planner(ledger=ledger).plan(
        [message("device/data/cab", body, number=9, duplicate=True)], NOW
    )
    assert (again.messages, again.repeated) == ([], 1)
    assert again.packets == [(9, crc32(body))]
    # The same id, not marked as a repetition: a new message that happens to look the same.
    fresh = planner(ledger=ledger).plan([message("device/data/cab", body, number=9)], NOW)
    assert len(fresh.messages) == 1


@pytest.mark.parametrize(
    ("topic", "reason", "stranger"),
    [
        ("smarthome/1/ghost/telemetry", "unknown_device", ("smarthome", "1", "ghost")),
        ("smarthome/2/ESP32_001/telemetry", "unknown_device", ("smarthome", "2", "ESP32_001")),
        ("tenant/acme/device/AA:BB:CC:DD:EE:99/alert", "unknown_device", None),
    ],
)
def test_what_belongs_to_nobody_is_kept_with_its_reason(
    topic: str, reason: str, stranger: tuple[str, str, str] | None
) -> None:
    plan = planner().plan([message(topic, {"a": 1}), message(topic, {"a": 2}, number=2)], NOW)
    assert plan.messages == []
    assert [d.reason for d in plan.dead] == [reason, reason]
    if stranger is not None:
        assert plan.unknown[stranger].messages == 2
    assert len(plan.packets) == 2


def test_a_registration_of_an_unknown_device_is_kept() -> None:
    register, ghost = "iotflow/discovery/register/ghost", ("iotflow", "default", "ghost")
    bodies = (b'{"device_type":"x"}', b"\xff" * REGISTRATION_MAX, b"x" * (REGISTRATION_MAX + 1))
    for body in bodies:
        other = message("iotflow/devices/ghost/config", b"{}", number=2)
        plan = planner().plan([message(register, body), other], NOW)
        found = plan.unknown[ghost]
        assert found.registered_at == NOW
        assert found.registration == (body if len(body) <= REGISTRATION_MAX else b"")
    # What the broker kept comes at every start: the device does not wait for an answer.
    plan = planner().plan([PublishPacket(register, b"{}", retain=True)], NOW)
    assert plan.unknown[ghost].registered_at is None
    plan = planner().plan([message("iotflow/devices/ghost/telemetry/sensors", b"{}")], NOW)
    assert plan.unknown[ghost].registered_at is None


def test_a_topic_of_nobody_leaves_one_dead_letter_a_minute() -> None:
    """A broker user may use the broker for purposes of its own."""
    ours = planner()
    topics = ("nobody/a", "nobody/b", "nobody/a")
    packets = [message(topic, {"a": 1}, number=n) for n, topic in enumerate(topics, start=1)]
    plan = ours.plan(packets, NOW)
    assert [(d.reason, d.topic) for d in plan.dead] == [
        ("undeclared_topic", "nobody/a"),
        ("undeclared_topic", "nobody/b"),
    ]
    assert (plan.undeclared, len(plan.packets)) == (1, 3)
    assert ours.plan(packets[:1], NOW + 59_000).dead == []
    assert len(ours.plan(packets[:1], NOW + 60_000).dead) == 1


def test_what_the_platform_says_is_no_dead_letter() -> None:
    """It is heard where a broker user may publish everywhere."""
    plan = planner().plan([message("smarthome/1/ESP32_001/config", {"a": 1})], NOW)
    assert (plan.dead, plan.passed) == ([], 1)


@pytest.mark.parametrize(
    ("brought_by", "kept"), [([], 1), ([1], 1), ([2], 0), ([1, 2], 1), ([9], 1)]
)
def test_of_copies_that_two_subscriptions_bring_one_counts(
    brought_by: list[int], kept: int
) -> None:
    limits = PayloadLimits()
    filters = {"smarthome/+/+/telemetry": 1, "+/+/+/telemetry": 2, "+/+/+/other": 3}
    routes = RouteTable(CATALOGUE, DeviceIndex.of(DEVICES, CATALOGUE), IDS, limits, filters)
    packet = PublishPacket(
        TELEMETRY, b"{}", qos=QoS.AT_LEAST_ONCE, packet_id=1, subscription_ids=brought_by
    )
    plan = Planner(routes, Ledger(10), limits).plan([packet], NOW)
    assert (len(plan.messages), plan.passed, len(plan.packets)) == (kept, 1 - kept, 1)


@pytest.mark.parametrize(
    "topic",
    [f"smarthome/1/{'x' * 129}/telemetry", f"smarthome/{'ü' * 65}/ESP32_001/telemetry"],
    ids=["name", "tenant"],
)
def test_a_name_that_nobody_can_have_is_no_stranger(topic: str) -> None:
    plan = planner().plan([message(topic, {"a": 1})], NOW)
    assert plan.unknown == {}
    assert [(d.reason, d.tenant, d.topic) for d in plan.dead] == [("unknown_device", None, topic)]


def test_a_mac_address_finds_its_device_however_it_is_written() -> None:
    plan = planner().plan([message("tenant/acme/device/aabbccddee01/alert", {"alert": "x"})], NOW)
    assert [row[0] for row in plan.messages] == [2]


def test_a_bad_payload_is_a_dead_letter_and_a_sign_of_life() -> None:
    plan = planner().plan([message(TELEMETRY, b"{")], NOW)
    [letter] = plan.dead
    assert (letter.reason, letter.device_id, letter.tenant) == ("not_json", 1, "1")
    assert letter.payload == b"{"
    assert LastSeen().plan(facts(plan, "last seen")) == [(1, NOW)]


def test_a_large_bad_payload_is_kept_in_part_and_its_size_is_known() -> None:
    limits = PayloadLimits()
    routes = RouteTable(CATALOGUE, DeviceIndex.of(DEVICES, CATALOGUE), IDS, limits)
    small = Planner(routes, Ledger(10), limits, keep_bytes=10)
    [letter] = small.plan([message(TELEMETRY, b"x" * 500_000)], NOW).dead
    assert (letter.size, len(letter.payload)) == (500_000, 10)


def test_one_device_cannot_fill_the_dead_letters() -> None:
    loud, quiet = "mooring/default/k/telemetry", TELEMETRY
    flood = [message(loud, b"{" + b"x" * 9_999, number=n) for n in range(1, 1001)]
    plan = planner().plan([*flood, message(quiet, b"{", number=1001)], NOW)
    theirs = [letter for letter in plan.dead if letter.device_id == 3]
    assert len(theirs) == LETTERS_MAX
    assert plan.dropped == 1000 - LETTERS_MAX
    assert sum(len(letter.payload) for letter in theirs) <= BYTES_MAX
    assert {letter.size for letter in theirs} == {10_000}
    assert [letter.payload for letter in plan.dead if letter.device_id == 1] == [b"{"]
    assert len(plan.packets) == 1001


def test_a_numbered_message_that_cannot_be_stored_need_not_come_again() -> None:
    topic = "mooring/default/k/telemetry"
    plan = planner().plan([message(topic, b'{"seq":7,"values":{"a":1e999}}')], NOW)
    assert [d.reason for d in plan.dead] == ["number_too_large"]
    [one] = SequenceNumbers().plan(facts(plan, "sequence numbers")) or ()
    assert (one.device.id, one.numbers) == (3, [7])


def test_numbers_and_what_a_device_gave_up_are_gathered() -> None:
    packets = [
        message("mooring/default/k/telemetry", {"seq": 5, "values": {}}),
        message("mooring/default/k/telemetry", {"seq": 6, "values": {}}, number=2),
        message(
            "mooring/default/k/event", {"event": "lost", "lost": [[1, 4], "x", [9, 2]]}, number=3
        ),
    ]
    plan = planner().plan(packets, NOW)
    [one] = SequenceNumbers().plan(facts(plan, "sequence numbers")) or ()
    assert (one.device.id, one.numbers, one.lost) == (3, [5, 6], [(1, 4)])


def test_the_newest_of_a_topic_counts_whatever_the_order() -> None:
    times = (NOW - 1000, NOW, NOW - 2000)
    packets = [
        message(TELEMETRY, {"timestamp": t, "sensors": {"t": t}}, number=n)
        for n, t in enumerate(times, start=1)
    ]
    [(row, _)] = planner().plan(packets, NOW).newest.values()
    assert row[2] == NOW


def test_a_clock_that_is_ahead_does_not_keep_the_place() -> None:
    """A reading dated 23 hours ahead comes before a right one of the same batch."""
    packets = [
        message(TELEMETRY, {"timestamp": t, "sensors": {"t": t}}, number=n)
        for n, t in enumerate((NOW + 23 * 3_600_000, NOW), start=1)
    ]
    [(row, _)] = planner().plan(packets, NOW).newest.values()
    assert row[2] == NOW


def test_a_last_will_has_no_clock_and_hides_nothing_that_came_after_it() -> None:
    """The device's clock is behind ours, so "online" is older than "offline" by the numbers."""
    status = "smarthome/1/ESP32_001/status"
    offline = message(status, {"online": False}, number=1)
    online = message(status, {"online": True, "timestamp": NOW - 5000}, number=2)
    plan = planner().plan([offline, online], NOW)
    [(row, _)] = plan.newest.values()
    assert row[2] == NOW - 5000
    assert said(plan, 1).online is True
    assert said(planner().plan([online, offline], NOW), 1).online is False


TRAP_STATUS = "tenant/acme/device/trap/status"


@pytest.mark.parametrize("will", [b"offline", b" OFFLINE\n", b'"offline"', b"0", b"false"])
def test_presence_said_as_text_counts(will: bytes) -> None:
    """A Last Will of plain text after a status that is an object."""
    online = message(TRAP_STATUS, {"online": True}, number=1)
    assert (
        said(planner().plan([online, message(TRAP_STATUS, will, number=2)], NOW), 2).online is False
    )
    assert said(planner().plan([message(TRAP_STATUS, will)], NOW), 2).online is False
    assert said(planner().plan([message(TRAP_STATUS, b"connected")], NOW), 2).online is True
    for word in (b"rebooting", b"[true]", b'"on line"'):
        assert said(planner().plan([message(TRAP_STATUS, word)], NOW), 2).online is None


def test_values_that_are_no_numbers_are_counted() -> None:
    payload = b'{"sensors":{"t":nan,"h":51.5,"x":-inf}}'
    plan = planner().plan([message(TELEMETRY, payload), message(TELEMETRY, b'{"sensors":{}}')], NOW)
    assert plan.not_numbers == 2
    assert plan.dead == []
    assert plan.messages[0][7] == payload.decode()


def test_of_two_topics_the_one_spoken_last_says_whether_it_is_there() -> None:
    status, beat = "smarthome/1/ESP32_001/status", "smarthome/1/ESP32_001/heartbeat"
    gone, alive = {"online": False}, {"uptime": 1}
    for topics, online in (((beat, status, beat), True), ((status, beat, status), False)):
        packets = [
            message(t, gone if t == status else alive, number=n + 1) for n, t in enumerate(topics)
        ]
        assert said(planner().plan(packets, NOW), 1).online is online


@pytest.mark.parametrize(
    ("topic", "payload", "online"),
    [
        ("smarthome/1/ESP32_001/status", {"online": True}, True),
        ("smarthome/1/ESP32_001/status", {"online": False}, False),
        ("smarthome/1/ESP32_001/heartbeat", {"uptime": 1}, True),
        (TELEMETRY, {"sensors": {}}, None),
    ],
)
def test_what_a_message_says_of_being_there(
    topic: str, payload: object, online: bool | None
) -> None:
    assert said(planner().plan([message(topic, payload)], NOW), 1).online is online


def test_firmware_and_metadata_reach_the_state() -> None:
    body = {"sensors": {}, "metadata": {"firmwareVersion": "v2.1.0", "batteryLevel": 85}}
    state = said(planner().plan([message(TELEMETRY, body)], NOW), 1)
    assert state.firmware == "v2.1.0"
    assert state.metadata is not None
    assert json.loads(state.metadata)["batteryLevel"] == 85


def test_a_packet_the_codec_refuses_is_a_dead_letter() -> None:
    plan = planner().plan([], NOW, [Broken(b"\x32\x00", "Invalid UTF-8", 1, 5, "a/\\xff")])
    assert [(d.reason, d.topic) for d in plan.dead] == [("malformed_packet", "a/\\xff")]


def test_a_packet_the_codec_refuses_is_kept_once() -> None:
    ledger = Ledger(100)
    first = planner(ledger=ledger).plan([], NOW, [Broken(b"\x32\x02ab", "why", 1, 5)])
    ledger.committed(1, first.packets)
    again = planner(ledger=ledger).plan([], NOW, [Broken(b"\x3a\x02ab", "why", 1, 5)])
    assert (again.dead, again.repeated, again.packets) == ([], 1, first.packets)
    fresh = planner(ledger=ledger).plan([], NOW, [Broken(b"\x32\x02ab", "why", 1, 5)])
    assert len(fresh.dead) == 1


def test_a_fault_of_ours_costs_the_message_it_happens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raised, it would come again with the same packet after every start."""
    ours = planner()
    found = ours.routes.find

    def fails(topic: str) -> Route | Unroutable:
        if topic == "device/data/cab":
            raise KeyError("a mistake")
        return found(topic)

    monkeypatch.setattr(ours.routes, "find", fails)
    packets = [message(TELEMETRY, {"a": 1}), message("device/data/cab", {"a": 1}, number=2)]
    plan = ours.plan([*packets, message(TELEMETRY, {"a": 2}, number=3)], NOW)
    assert len(plan.messages) == 2
    assert [(d.reason, d.topic) for d in plan.dead] == [("not_handled", "device/data/cab")]
    assert len(plan.packets) == 3


def test_routes_are_remembered_and_the_memory_is_bounded() -> None:
    routes = planner().routes
    assert routes.get(TELEMETRY) is None
    found = routes.find(TELEMETRY)
    assert isinstance(found, Route)
    assert routes.get(TELEMETRY) is found
    assert isinstance(routes.find("x/y"), Unroutable)
    assert CACHE_LIMIT > 10_000
