"""From a topic filter to what the live stream is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mooring.dialects import load_all
from mooring.publish.rules import stream_request
from mooring.stream.messages import parse

DIALECTS = load_all(None).all()


@pytest.mark.parametrize(
    ("topic", "devices", "kinds"),
    [
        ("iotflow/devices/b1/telemetry/sensors", ["b1"], ["telemetry"]),
        ("iotflow/devices/+/telemetry/sensors", None, ["telemetry"]),
        ("iotflow/devices/b1/status/#", ["b1"], ["heartbeat", "offline", "online"]),
        ("smarthome/7/lamp/telemetry", ["7:lamp"], ["telemetry"]),
        ("smarthome/7/+/telemetry", None, ["telemetry"]),
    ],
)
def test_what_devices_publish(topic: str, devices: list[str] | None, kinds: list[str]) -> None:
    found: Any = stream_request(DIALECTS, topic)
    parse(json.dumps(found))  # the stream takes it
    asked = found["subscribe"]
    assert asked.get("devices") == devices
    assert asked["kinds"] == kinds


@pytest.mark.parametrize(
    "topic", ["iotflow/system/#", "iotflow/devices/b1/commands/control", "nobody/knows", "$SYS/#"]
)
def test_what_the_stream_does_not_carry(topic: str) -> None:
    assert stream_request(DIALECTS, topic) is None
