"""A command in each dialect's own shape, and what each dialect can say of one."""

from __future__ import annotations

import json

import pytest

from mooring.dialects import builtin, capabilities, check, compose, outcome
from mooring.dialects.model import Format, Kind, PayloadShape

AT = 1_767_225_600_000
DIALECTS = {dialect.name: dialect for dialect in builtin()}

BODIES = {
    ("mooring", "command"): {"ts": AT, "id": "c-1", "expires": AT + 60_000, "args": {"delay": 5}},
    ("pulse", "command"): {
        "timestamp": "2026-01-01T00:00:00.000Z",
        "command_id": "c-1",
        "command": "restart",
        "parameters": {"delay": 5},
    },
    ("drivesafe", "command"): {
        "timestamp": "2026-01-01T00:00:00.000Z",
        "command_id": "c-1",
        "command": "restart",
        "parameters": {"delay": 5},
    },
    ("smarthome", "command"): {
        "source": "USER",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "commandId": "c-1",
        "correlationId": "c-1",
        "type": "restart",
        "payload": {"delay": 5},
    },
    ("iotflow", "command"): {
        "timestamp": "2026-01-01T00:00:00.000Z",
        "command_id": "c-1",
        "command": "restart",
        "parameters": {"delay": 5},
    },
    ("mousetrap", "command"): {
        "timestamp": "2026-01-01T00:00:00.000Z",
        "id": "c-1",
        "command": "restart",
        "delay": 5,
    },
}


@pytest.mark.parametrize(("dialect", "channel"), BODIES)
def test_a_command_has_the_shape_of_its_dialect(dialect: str, channel: str) -> None:
    found = DIALECTS[dialect].channel(channel)
    assert found is not None
    payload = compose(
        found.payload,
        {"delay": 5},
        time_ms=AT,
        identifier="c-1",
        name="restart",
        expires_ms=AT + 60_000,
    )
    body = json.loads(payload)
    given = {key: value for key, value in BODIES[dialect, channel].items() if key in body}
    assert given == BODIES[dialect, channel]
    assert set(body) - set(given) <= {"device_id", "deviceId"}


def test_iotflow_sends_commands_with_qos_2() -> None:
    for name in ("command", "commands_config", "firmware"):
        channel = DIALECTS["iotflow"].channel(name)
        assert channel is not None
        assert channel.qos == 2


@pytest.mark.parametrize(
    ("values", "text"),
    [({}, b"open"), ({"value": "wide"}, b"wide"), ({"value": 7}, b"7"), ({"value": True}, b"true")],
)
def test_a_text_channel_carries_the_bare_text(values: dict[str, object], text: bytes) -> None:
    assert compose(PayloadShape(format=Format.TEXT), values, time_ms=AT, name="open") == text


@pytest.mark.parametrize("values", [{"a": 1}, {"value": {}}, {"value": 1, "b": 2}])
def test_a_text_has_no_place_for_other_parameters(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="one parameter"):
        compose(PayloadShape(format=Format.TEXT), values, time_ms=AT, name="open")


def test_no_dialect_claims_what_its_channels_cannot_say() -> None:
    can = {name: capabilities(dialect) for name, dialect in DIALECTS.items()}
    assert {name for name, one in can.items() if one.replies} == {"mooring", "pulse"}
    down = {name for name, one in can.items() if one.settings_down}
    assert down == {"mooring", "pulse", "iotflow", "smarthome"}
    assert {n for n, one in can.items() if one.settings_reported} == {"mooring", "pulse"}
    firmware = {name for name, one in can.items() if one.firmware_down}
    assert firmware == {"mooring", "pulse", "mousetrap", "iotflow", "smarthome"}
    assert {n for n, one in can.items() if one.progress_up} == {"mooring", "pulse", "mousetrap"}
    assert {n for n, one in can.items() if one.max_packet} == {"mousetrap", "smarthome"}
    assert can["mousetrap"].effects == {"reboot": "session", "alert_reset": "alert_cleared"}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"ok": True}, True),
        ({"ok": False, "status": "Rejected"}, "rejected"),
        ({"status": "RUNNING"}, "running"),
        ({}, None),
        ({"status": {}}, None),
    ],
)
def test_what_a_reply_says(body: dict[str, object], found: object) -> None:
    shape = PayloadShape(outcome=(("status",), ("ok",)))
    assert outcome(shape, body) == found


def test_an_effect_needs_its_channel_and_a_command_channel() -> None:
    text = """
name = "boats"
title = "Boats"
username = "{device}"
placeholders = { boat = "device" }
[[channels]]
name = "data"
topic = "boats/{boat}/data"
direction = "up"
kind = "telemetry"
done_when = { stop = "session" }
[[channels]]
name = "command"
topic = "boats/{boat}/do"
direction = "down"
kind = "command"
done_when = { reset = "alert_cleared", stop = "gone" }
"""
    mistakes = check(text, "test")[1]
    assert "channels[1].done_when.stop" in [one.where for one in mistakes]
    mistakes = check(text.replace(', stop = "gone"', ""), "test")[1]
    assert [one.where for one in mistakes] == [
        "channels[0].done_when",
        "channels[1].done_when.reset",
    ]
    assert DIALECTS["mousetrap"].of_kind(Kind.ALERT_CLEARED)
