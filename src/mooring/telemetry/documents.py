"""What the command line and HTTP answer of stored messages. Times are text."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from mooring.devices.model import Device
from mooring.dialects.times import iso, iso_or_none
from mooring.telemetry.bands import Bands
from mooring.telemetry.model import DeadLetter, DeviceLatest, Point, Reading, Stranger

__all__ = [
    "chart",
    "dead_letter",
    "latest",
    "latest_of_one",
    "message",
    "point",
    "reading",
    "unknown_device",
]


def reading(found: Reading) -> dict[str, Any]:
    """The newest message of a channel."""
    return {
        "channel": found.channel,
        "kind": found.kind,
        "ts": iso(found.ts),
        "received_at": iso(found.received_at),
        "time_source": found.time_source,
        "values": found.values,
        "payload": found.payload,
    }


def message(found: Reading) -> dict[str, Any]:
    """A stored message, with its number and the device's sequence number."""
    return {**reading(found), "id": found.id, "seq": found.seq}


def point(found: Point) -> dict[str, Any]:
    """One value of one metric."""
    return {
        "ts": iso(found.ts),
        "value": found.value,
        "channel": found.channel,
        "received_at": iso(found.received_at),
        "time_source": found.time_source,
    }


def latest(device: Device, readings: Iterable[Reading]) -> dict[str, Any]:
    """The newest message of each channel of a device."""
    return {
        "device": device.name,
        "tenant": device.tenant,
        "dialect": device.dialect,
        "readings": [reading(one) for one in readings],
    }


def latest_of_one(found: DeviceLatest) -> dict[str, Any]:
    """The same for a device in a list, with its state."""
    return {
        "id": found.id,
        "device": found.name,
        "tenant": found.tenant,
        "dialect": found.dialect,
        "label": found.label,
        "last_seen_at": iso_or_none(found.last_seen_at),
        "online": found.online,
        "connected": found.connected,
        "firmware": found.firmware,
        "readings": [reading(one) for one in found.readings],
    }


def dead_letter(found: DeadLetter) -> dict[str, Any]:
    """A message that could not be stored. The payload is text if it is UTF-8, otherwise base64,
    so that nothing is lost."""
    try:
        payload, encoding = found.payload.decode(), "text"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(found.payload).decode("ascii"), "base64"
    return {
        "id": found.id,
        "received_at": iso(found.received_at),
        "reason": found.reason,
        "detail": found.detail,
        "topic": found.topic,
        "tenant": found.tenant,
        "device": found.device,
        "size": found.size,
        "payload": payload,
        "encoding": encoding,
    }


def unknown_device(found: Stranger) -> dict[str, Any]:
    """A device that publishes and was never added."""
    return {
        "dialect": found.dialect,
        "tenant": found.tenant,
        "name": found.name,
        "first_seen_at": iso(found.first_seen_at),
        "last_seen_at": iso(found.last_seen_at),
        "messages": found.messages,
        "last_topic": found.last_topic,
    }


def chart(device: Device, found: Bands) -> dict[str, Any]:
    """Curves as columns; times of points are epoch milliseconds."""
    return {
        "device": device.name,
        "tenant": device.tenant,
        "start": iso(found.start),
        "end": iso(found.end),
        "source": found.source,
        "step_seconds": found.step_ms / 1000 if found.step_ms is not None else None,
        "curves": [
            {
                "metric": one.metric,
                "ts": one.ts,
                "min": one.least,
                "mean": one.mean,
                "max": one.greatest,
                "count": one.count,
            }
            for one in found.curves
        ],
    }
