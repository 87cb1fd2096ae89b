"""What a payload says: readings, metadata, firmware, presence, answers; and what we write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import (
    Decoded,
    PayloadLimits,
    PayloadShape,
    TimeFormat,
    builtin,
    compile_decoder,
    compose,
    firmware,
    flatten,
    identifier,
    metadata,
    name,
    online,
    online_word,
    readings,
    reply_to,
)
from tests.unit.dialects.payload_examples import EXAMPLES, SKETCH_EXAMPLES, Example, example

NOW = 1_780_000_000_000


def shape_of(dialect: str, channel: str) -> PayloadShape:
    found = next(d for d in builtin() if d.name == dialect).channel(channel)
    assert found is not None
    return found.payload


def body_of(e: Example) -> tuple[PayloadShape, Decoded]:
    shape = shape_of(e.dialect, e.channel)
    decoded = compile_decoder(shape, PayloadLimits())(e.payload.encode(), NOW)
    assert isinstance(decoded, Decoded)
    return shape, decoded


@pytest.mark.parametrize("e", EXAMPLES, ids=str)
def test_documented_payloads_decode_with_the_devices_time(e: Example) -> None:
    _, decoded = body_of(e)
    assert decoded.time_source == "device"
    assert decoded.text == e.payload


@pytest.mark.parametrize("e", SKETCH_EXAMPLES, ids=str)
def test_time_since_boot_is_no_time_and_loses_nothing(e: Example) -> None:
    _, decoded = body_of(e)
    assert (decoded.time_source, decoded.time_ms) == ("received", NOW)
    assert decoded.text == e.payload


def test_smarthome_telemetry() -> None:
    shape, decoded = body_of(example("smarthome", "telemetry"))
    assert readings(shape, decoded.body) == {
        "current": 0.75,
        "gasPpm": 450,
        "flame": False,
        "binLevel": 45.2,
        "powerW": 120.5,
        "energyKwh": 2.45,
        "voltageV": 220.3,
        "currentA": 0.55,
        "frequencyHz": 50.1,
        "powerFactor": 0.95,
        "distanceCm": 15.2,
        "temperature": 23.5,
        "humidity": 65.2,
    }
    assert metadata(shape, decoded.body) == {"signalStrength": -45, "batteryLevel": 85}
    assert firmware(shape, decoded.body) == "v2.1.0"
    assert online(shape, decoded.body) is None


def test_smarthome_status() -> None:
    shape, decoded = body_of(example("smarthome", "status"))
    assert online(shape, decoded.body) is True
    assert firmware(shape, decoded.body) == "v2.1.0"
    assert metadata(shape, decoded.body) == {
        "uptime": 86400,
        "freeMemory": 45000,
        "wifiSignal": -45,
        "batteryLevel": 85,
    }
    shape, decoded = body_of(SKETCH_EXAMPLES[1])
    assert online(shape, decoded.body) is False


def test_smarthome_heartbeat() -> None:
    shape, decoded = body_of(example("smarthome", "heartbeat"))
    expected = {"uptime": 86400, "freeMemory": 45000, "wifiSignal": -45}
    assert metadata(shape, decoded.body) == expected


def test_iotflow() -> None:
    shape, decoded = body_of(example("iotflow", "telemetry"))
    assert readings(shape, decoded.body) == {
        "temperature": 23.5,
        "humidity": 65.2,
        "pressure": 1013.25,
    }
    shape, decoded = body_of(example("iotflow", "heartbeat"))
    assert online(shape, decoded.body) is True
    assert metadata(shape, decoded.body) == {
        "uptime": 86400,
        "battery_level": 95,
        "signal_strength": -45,
    }


@pytest.mark.parametrize(
    "channel", ["command", "config"], ids=["smarthome-command", "smarthome-config"]
)
def test_smarthome_payloads_are_written_as_documented(channel: str) -> None:
    e = example("smarthome", channel)
    wanted = json.loads(e.payload)
    if channel == "command":  # replies have no channel of their own: the id is repeated here
        wanted["correlationId"] = "cmd_123456789"
    values = wanted["payload"] if channel == "command" else wanted["config"]
    written = compose(
        shape_of("smarthome", channel),
        values,
        time_ms=1_770_984_000_000,
        identifier="cmd_123456789",
        name="SET_POWER",
    )
    assert json.loads(written) == wanted


def test_iotflow_command_is_written_as_documented() -> None:
    e = example("iotflow", "commands_config")
    written = compose(
        shape_of("iotflow", "commands_config"),
        {"interval_seconds": 30},
        time_ms=1_751_365_800_000,
        identifier="cmd_12345",
        name="update_interval",
    )
    wanted = json.loads(e.payload)
    assert json.loads(written) == wanted | {"timestamp": "2025-07-01T10:30:00.000Z"}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (TimeFormat.ISO, "2026-02-13T12:00:00.123Z"),
        (TimeFormat.MILLISECONDS, 1_770_984_000_123),
        (TimeFormat.SECONDS, 1_770_984_000),
    ],
)
def test_the_time_is_written_as_the_dialect_says(form: TimeFormat, expected: object) -> None:
    shape = PayloadShape(time=(("head", "at"),), time_format=form)
    assert json.loads(compose(shape, {}, time_ms=1_770_984_000_123)) == {"head": {"at": expected}}


def test_a_receipt_says_how_far() -> None:
    written = compose(shape_of("mooring", "receipt"), {}, time_ms=1_770_984_000_123, sequence=47)
    assert json.loads(written) == {"ts": 1_770_984_000_123, "upto": 47}


def test_our_keys_win_over_values_of_the_same_name() -> None:
    shape = PayloadShape(identifier=("id",), sequence=("seq",))
    written = compose(shape, {"id": "forged", "x": 1}, time_ms=0, identifier="real", sequence=7)
    assert json.loads(written) == {"id": "real", "seq": 7, "x": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (False, False),
        ("online", True),
        ("OFFLINE", False),
        (" Connected ", True),
        ("lost", False),
        (1, True),
        (0, False),
        (2, None),
        ("maybe", None),
        (None, None),
        ([], None),
        (1.0, None),
    ],
)
def test_words_for_presence(value: object, expected: bool | None) -> None:
    assert online_word(value) is expected


def test_places_for_presence_are_tried_in_order() -> None:
    shape = shape_of("mousetrap", "status")
    assert online(shape, {"online": False, "status": "online"}) is False
    assert online(shape, {"status": "offline"}) is False
    assert online(shape, {"status": {"uptime": 3}, "state": "online"}) is True
    assert online(shape, None) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("c-1", "c-1"),
        (17, "17"),
        (17.0, "17"),
        ("", None),
        (" ", None),
        (True, None),
        (None, None),
        ({}, None),
        ("x" * 129, None),
    ],
)
def test_answers_and_names(value: object, expected: str | None) -> None:
    shape = PayloadShape(reply_to=("a",), identifier=("a",), name=("a",), firmware=(("a",),))
    for read in (reply_to, identifier, name, firmware):
        assert read(shape, {"a": value}) == expected
        assert read(shape, None) is None
        assert read(PayloadShape(), {"a": value}) is None


def test_flatten_joins_keys_and_counts_items() -> None:
    value = {"a": {"b": 1, "c": [2, {"d": "x"}]}, "n": None, "e": {}, "t": True}
    assert flatten(value) == ({"a.b": 1, "a.c.0": 2, "a.c.1.d": "x", "t": True}, 0)


def test_too_many_metrics_are_dropped_and_counted() -> None:
    told: list[int] = []
    body = {f"m{i}": i for i in range(300)}
    found = readings(PayloadShape(), body, PayloadLimits(max_metrics=100), on_drop=told.append)
    assert list(found) == [f"m{i}" for i in range(100)]
    assert told == [200]
    told.clear()
    assert len(readings(PayloadShape(), body, PayloadLimits(max_metrics=300), on_drop=told.append))
    assert told == []


def test_keys_that_mean_something_else_are_no_readings() -> None:
    shape = PayloadShape(
        time=(("ts",), ("h", "t")),
        sequence=("seq",),
        device=("dev",),
        metadata=("meta",),
        firmware=(("fw",),),
        online=(("on",),),
    )
    body = {
        "ts": 1,
        "h": {"t": 2, "x": 3},
        "seq": 4,
        "dev": "d",
        "meta": {"m": 5},
        "fw": "1",
        "on": True,
        "v": 6,
    }
    assert readings(shape, body) == {"h.x": 3, "v": 6}
    assert metadata(shape, body) == {"m": 5}


def test_metadata_beside_values_leaves_the_values_out() -> None:
    shape = PayloadShape(values=("sensors",), metadata=())
    body = {"sensors": {"t": 1}, "rssi": -40}
    assert readings(shape, body) == {"t": 1}
    assert metadata(shape, body) == {"rssi": -40}


JSON_BODIES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda b: st.lists(b, max_size=3) | st.dictionaries(st.text(max_size=4), b, max_size=3),
    max_leaves=20,
)


@given(JSON_BODIES, st.integers(0, 10))
def test_flatten_takes_all_or_counts(value: Any, limit: int) -> None:
    def scalars(item: Any) -> int:
        if isinstance(item, dict | list):
            return sum(map(scalars, item.values() if isinstance(item, dict) else item))
        return item is not None

    found, dropped = flatten(value, limit=limit)
    assert len(found) <= limit
    assert len(found) + dropped == scalars(value)
    assert all(isinstance(v, str | int | float | bool) for v in found.values())


@pytest.mark.parametrize("body", [{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "a.b": 1}])
def test_no_reading_hides_another(body: dict[str, Any]) -> None:
    assert flatten(body) == ({"a.b": 2, "a\\.b": 1}, 0)
    assert flatten({"a.b": 1, "c": {}}) == ({"a.b": 1}, 0)


@given(
    st.recursive(
        st.integers(0, 99),
        lambda b: st.dictionaries(st.text("ab.", max_size=3), b, max_size=4),
        max_leaves=20,
    )
)
def test_keys_with_dots_lose_nothing(value: Any) -> None:
    def scalars(item: Any) -> list[int]:
        return (
            [n for below in item.values() for n in scalars(below)] if type(item) is dict else [item]
        )

    found, dropped = flatten(value)
    assert dropped == 0
    assert sorted(found.values()) == sorted(scalars(value))


SHAPES = [c.payload for d in builtin() for c in d.channels]


@given(
    st.dictionaries(
        st.sampled_from(["sensors", "metadata", "status", "online", "values", "id", "meta"]),
        JSON_BODIES,
    ),
    st.sampled_from(SHAPES),
)
def test_no_body_makes_a_reader_raise(body: dict[str, Any], shape: PayloadShape) -> None:
    for read in (readings, metadata, firmware, online, reply_to, identifier, name):
        read(shape, body)  # type: ignore[operator]
