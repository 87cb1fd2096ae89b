"""The dialect of a device whose credentials carry no shape: those of version 0.1.0, and topics
from the environment.

``dialects.json`` is made from the platform's own dialects (``scripts/write_sdk_dialects.py``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mooring_device.dialect import VERSION, Channel, Dialect, Payload, read_shape

__all__ = ["DOWN_KINDS", "NATIVE", "dialect_of"]

NATIVE = "mooring"

DOWN_KINDS = (
    "command",
    "cancel",
    "fleet_command",
    "config",
    "firmware",
    "filesystem",
    "register_response",
    "receipt",
    "rerequest",
)
_FILE = Path(__file__).with_name("dialects.json")
_VALUES = {"reply": ("result",), "config_reported": ("config",)}


def dialect_of(name: str, topics: Mapping[str, str], shape: Mapping[str, Any]) -> Dialect:
    """How a device speaks.

    Args:
        name: of its dialect, or "".
        topics: kind → topic; a second channel of a kind has its own name as key.
        shape: as the platform sends it; empty: then name and topics have to do.

    Raises:
        InvalidSetting: the shape or a topic cannot be used.
    """
    if shape:
        return read_shape(shape)
    name = NATIVE if "receipt" in topics else name
    known = json.loads(_FILE.read_text("utf-8")).get(name, [])
    channels = list(_placed(known, topics))
    found = read_shape({"version": VERSION, "dialect": name, "channels": channels})
    placed = {topic for channel in found.channels for topic in channel.topics}
    others = [_guessed(key, topic) for key, topic in topics.items() if topic not in placed]
    return Dialect((*found.channels, *others), name=name)


def _placed(channels: list[dict[str, Any]], topics: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    kinds = set()
    for channel in channels:
        kind = channel["kind"]
        key = channel["name"] if kind in kinds or kind not in topics else kind
        kinds.add(kind)
        if key in topics:
            yield {**channel, "topics": [topics[key]]}


def _guessed(kind: str, topic: str) -> Channel:
    """A channel of which only the topic is known."""
    up = kind not in DOWN_KINDS
    payload = Payload(
        time=("ts",),
        time_format="ms",
        sequence=("seq",),
        values=_VALUES.get(kind, ()),
        metadata=("meta",),
        firmware=("meta", "firmware"),
        online=("online",),
        outcome=(("status",), ("ok",)),
        guess=True,
    )
    retain = kind in ("status", "online", "offline")
    return Channel(name=kind, kind=kind, up=up, topics=(topic,), retain=retain, payload=payload)
