"""What made-up devices say: in the dialect's shape, believable, and the same for a seed."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import PayloadLimits, Router, builtin, compile_decoder
from mooring.dialects.model import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    Format,
    Identity,
    Kind,
    PayloadShape,
)
from mooring.dialects.payload import Decoded, TimeSource
from mooring.simulate.values import Leaf, band_of, leaves
from mooring.simulate.voice import HEARTBEAT_SECONDS, Message, Voice

NOW = 1_790_000_000_000
DIALECTS = builtin()
IDENTITY = Identity("acme", "dev-1", "02:00:00:00:00:01", ("blue",))


def said(dialect: Dialect, count: int, *, seed: int = 0, step_ms: int = 1000) -> list[Message]:
    voice = Voice(dialect, IDENTITY, seed=seed)
    found = voice.birth(NOW)
    for tick in range(count):
        message = voice.next(NOW + tick * step_ms)
        assert message is not None
        found.append(message)
    return found


# ------------------------------------------------------------------------- built-in dialects


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_everything_is_a_good_message_on_a_topic_of_the_device(dialect: Dialect) -> None:
    allowed = {topic for c in dialect.ups() for topic in c.addresses(IDENTITY)}
    voice = Voice(dialect, IDENTITY)
    will = voice.will(NOW)
    messages = said(dialect, 2000)
    for message in [*messages, *([will] if will else [])]:
        channel = dialect.channel(message.channel)
        assert channel is not None
        assert message.topic in allowed
        assert (message.qos, message.retain) == (channel.qos, channel.retain)
        at = NOW + 2_000_000
        decoded = compile_decoder(channel.payload, PayloadLimits())(message.payload, at)
        assert isinstance(decoded, Decoded), decoded
        if channel.payload.time:
            assert decoded.time_source is TimeSource.DEVICE
            assert NOW <= decoded.time_ms <= at


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_the_shape_is_the_examples(dialect: Dialect) -> None:
    for message in said(dialect, 500):
        channel = dialect.channel(message.channel)
        assert channel is not None
        example = json.loads(channel.payload.example)
        body = json.loads(message.payload)
        assert _form(body) == _form(example)
        if channel.payload.device:
            place = channel.payload.device[0]
            assert body.get(place, "dev-1") == "dev-1"


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _form(below) for key, below in value.items()}
    return type(value).__name__


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_a_seed_says_the_same_again_and_another_one_does_not(dialect: Dialect) -> None:
    assert said(dialect, 50, seed=3) == said(dialect, 50, seed=3)
    assert said(dialect, 50, seed=3) != said(dialect, 50, seed=4)
    other = Voice(dialect, Identity("acme", "dev-2", "02:00:00:00:00:02"), seed=3)
    assert [other.next(NOW + n) for n in range(20)] != said(dialect, 20, seed=3)[-20:]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_values_wander(dialect: Dialect) -> None:
    main = [m.payload for m in said(dialect, 40)[-40:]]
    assert len(set(main)) > 30


def test_sequence_numbers_count_up_where_the_dialect_has_them() -> None:
    pulse = next(d for d in DIALECTS if d.name == "pulse")
    numbers = [json.loads(m.payload)["seq"] for m in said(pulse, 50) if m.channel == "telemetry"]
    assert len(numbers) > 40
    assert numbers == sorted(set(numbers))


def test_an_alert_is_raised_and_cleared_again() -> None:
    pulse = next(d for d in DIALECTS if d.name == "pulse")
    kinds = [m.channel for m in said(pulse, 20_000) if m.channel.startswith("alert")]
    assert len(kinds) > 4
    assert set(kinds[::2]) == {"alert"}
    assert set(kinds[1::2]) == {"alert_cleared"}


def test_a_heartbeat_comes_in_time() -> None:
    smarthome = next(d for d in DIALECTS if d.name == "smarthome")
    beats = [
        index
        for index, message in enumerate(said(smarthome, 600)[1:])
        if message.channel == "heartbeat"
    ]
    assert beats == [int(HEARTBEAT_SECONDS) * n for n in range(1, 10)]


def test_birth_and_will_say_whether_it_is_there() -> None:
    pulse = next(d for d in DIALECTS if d.name == "pulse")
    voice = Voice(pulse, IDENTITY)
    [born] = voice.birth(NOW)
    will = voice.will(NOW)
    assert will is not None
    assert json.loads(born.payload)["status"] == "online"
    assert json.loads(will.payload)["status"] == "offline"
    iotflow = Voice(next(d for d in DIALECTS if d.name == "iotflow"), IDENTITY)
    assert [m.channel for m in iotflow.birth(NOW)] == ["register", "online"]
    gone = iotflow.will(NOW)
    assert gone is not None
    assert gone.channel == "offline"
    home = Voice(next(d for d in DIALECTS if d.name == "smarthome"), IDENTITY).will(NOW)
    assert home is not None
    assert json.loads(home.payload)["online"] is False


def test_qos_can_be_said_for_all() -> None:
    for dialect in DIALECTS:
        voice = Voice(dialect, IDENTITY, qos=2)
        assert {m.qos for m in voice.birth(NOW)} <= {2}
        message = voice.next(NOW)
        assert message is not None
        assert message.qos == 2


# ------------------------------------------------------------------------- answers


def answer_of(name: str, channel: str, payload: bytes) -> tuple[Voice, Message | None, str]:
    dialect = next(d for d in DIALECTS if d.name == name)
    found = dialect.channel(channel)
    assert found is not None
    topic = found.address(IDENTITY, group="blue", name="restart")
    assert topic is not None
    voice = Voice(dialect, IDENTITY)
    return voice, voice.answer(topic, payload, NOW), topic


def test_a_command_is_answered_with_its_id() -> None:
    voice, reply, topic = answer_of("mooring", "command", b'{"id":"0f8c2d","args":{}}')
    assert reply is not None
    assert reply.topic == "mooring/acme/dev-1/reply"
    assert json.loads(reply.payload)["id"] == "0f8c2d"
    assert voice.is_command(topic)
    assert not voice.is_command("mooring/acme/dev-1/config")


def test_settings_are_reported_as_they_came() -> None:
    payload = b'{"ts":1,"version":7,"config":{"interval_s":5,"new":[1,2]}}'
    _, reply, _ = answer_of("mooring", "config", payload)
    assert reply is not None
    body = json.loads(reply.payload)
    assert body["version"] == 7  # a number, as in the example
    assert body["config"] == {"interval_s": 5, "new": [1, 2]}


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[" * 5000, b"null", b"3", b"{}"])
def test_a_broken_command_breaks_nothing(payload: bytes) -> None:
    for dialect in DIALECTS:
        voice = Voice(dialect, IDENTITY)
        for channel in dialect.downs():
            for topic in channel.addresses(IDENTITY):
                voice.answer(topic.replace("+", "x"), payload, NOW)
    assert Voice(DIALECTS[0], IDENTITY).answer("somewhere/else", payload, NOW) is None


def test_it_listens_to_all_and_only_its_own() -> None:
    for dialect in DIALECTS:
        wanted = {(t, c.qos) for c in dialect.downs() for t in c.addresses(IDENTITY)}
        assert set(Voice(dialect, IDENTITY).subscriptions()) == wanted


# ------------------------------------------------------------------------- a user's dialect


def own(shape: PayloadShape, kind: Kind = Kind.TELEMETRY, topic: str = "a/{d}") -> Dialect:
    places = {"d": Attribute.DEVICE, "word": Attribute.NAME}
    used = {name: a for name, a in places.items() if f"{{{name}}}" in topic}
    channel = Channel("said", topic, Direction.UP, kind, payload=shape, placeholders=used)
    return Dialect("own", "Own", "{device}", "{device}", (channel,), tenanted=False)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (PayloadShape(format=Format.TEXT, example="open"), b"open"),
        (PayloadShape(format=Format.EITHER, example="21.5"), b"21.5"),
        (PayloadShape(format=Format.ANY), b"1"),
    ],
)
def test_text_is_sent_as_in_the_example(shape: PayloadShape, wanted: bytes) -> None:
    message = Voice(own(shape), IDENTITY).next(NOW)
    assert message is not None
    assert message.payload == wanted


def test_without_an_example_there_is_a_value_and_what_is_required() -> None:
    shape = PayloadShape(
        time=(("meta", "at"),), values=("data",), required=(("kind",),), sequence=("n",)
    )
    message = Voice(own(shape), IDENTITY).next(NOW)
    assert message is not None
    body = json.loads(message.payload)
    assert body["meta"]["at"] == "2026-09-21T14:13:20.000Z"
    assert body["kind"] == 1
    assert body["n"] == 1
    assert 0 < body["data"]["value"] < 40


def test_a_free_word_in_a_topic_is_filled() -> None:
    message = Voice(own(PayloadShape(), topic="a/{d}/{word}"), IDENTITY).next(NOW)
    assert message is not None
    assert message.topic == "a/dev-1/simulated"


def test_a_dialect_that_only_listens_says_nothing() -> None:
    down = Channel("c", "c/{d}", Direction.DOWN, Kind.COMMAND, placeholders={"d": Attribute.DEVICE})
    voice = Voice(Dialect("own", "Own", "{device}", "{device}", (down,), tenanted=False), IDENTITY)
    assert voice.next(NOW) is None
    assert voice.birth(NOW) == []
    assert voice.will(NOW) is None


# ------------------------------------------------------------------------- single values

KEYS = st.sampled_from(
    [
        "temperature",
        "humidity",
        "rssi",
        "battery_level",
        "uptime",
        "gasPpm",
        "speed_kmh",
        "lat",
        "x",
    ]
)
NUMBERS = st.one_of(
    st.integers(-1000, 1000), st.floats(-1000, 1000, allow_nan=False).map(lambda v: round(v, 2))
)


@given(KEYS, NUMBERS, st.integers(0, 2**32))
def test_a_number_keeps_its_type_and_stays_believable(key: str, example: float, seed: int) -> None:
    leaf = Leaf(key, example, Random(seed))
    band = band_of(key, example)
    assert band.low <= example <= band.high
    for tick in range(100):
        value = leaf.next(tick)
        assert type(value) is type(example)
        if key in ("uptime", "battery_level"):
            continue
        assert isinstance(value, int | float)
        slack = 1 if isinstance(example, int) else 0.06
        assert band.low - slack <= value <= band.high + slack


@given(st.integers(0, 10**6), st.integers(0, 2**32))
def test_uptime_rises_with_the_time(example: int, seed: int) -> None:
    leaf = Leaf("uptime", example, Random(seed))
    assert [leaf.next(n) for n in (0, 1, 5, 60)] == [example + n for n in (0, 1, 5, 60)]


def test_a_battery_drains_and_is_charged() -> None:
    leaf = Leaf("battery", 100, Random(1))
    levels = [int(leaf.next(day * 86_400)) for day in range(60)]
    assert levels[0] == 100 or levels[0] > 50
    assert min(levels) < 20
    assert any(later > earlier for earlier, later in pairwise(levels))


def test_a_switch_flips_now_and_then_and_an_alarm_seldom() -> None:
    def flips(key: str) -> int:
        leaf = Leaf(key, False, Random(1))
        values = [leaf.next(n) for n in range(5000)]
        return sum(a != b for a, b in pairwise(values))

    assert 40 < flips("relay") < 250
    assert flips("flame") < 40


def test_what_means_something_else_is_left_alone() -> None:
    body = {"id": "x", "a": {"b": 1.0, "t": 5}, "list": [1, 2], "none": None}
    found = dict(leaves(body, Random(1), keep=frozenset({("a", "t"), ("id",)})))
    assert set(found) == {("a", "b")}


def test_every_built_in_message_is_routed_to_its_channel() -> None:
    router = Router(DIALECTS)
    for dialect in DIALECTS:
        for message in said(dialect, 20):
            found = [(m.dialect.name, m.channel.name) for m in router.match(message.topic)]
            assert (dialect.name, message.channel) in found
