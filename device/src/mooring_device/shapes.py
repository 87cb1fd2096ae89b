"""Payloads that the device sends: the time, the number and the rest, in their places.

Pure: values in, JSON out. What the queue keeps of a message is everything behind its time
and number (``rest``), because the number is given out in the transaction that stores it.
A repeat has the same bytes as the first, so that the platform knows it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from mooring_device.dialect import Channel, Path, Payload
from mooring_device.errors import InvalidReading

__all__ = [
    "MAX_DEPTH",
    "MAX_INTEGER",
    "READINGS",
    "Shape",
    "dump",
    "payload_of",
    "put",
    "rest_of",
    "unnumbered",
]


MAX_DEPTH = 32  # of nested objects and arrays, as on the platform
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Shape:
    """Where time, number and readings go, for a device that got no shape from its platform.

    Attributes:
        time: the key of the device's time.
        iso: the time as ISO 8601 text; otherwise epoch milliseconds.
        seq: the key of the sequence number, or "" for firmware that does not count.
        values: the key of the object with the readings; "": they are next to the time.
    """

    time: str = "ts"
    iso: bool = False
    seq: str = "seq"
    values: str = ""

    def on(self, channel: Channel) -> Channel:
        """The channel with these keys in its payload."""
        if not channel.up:
            return channel
        payload = replace(
            channel.payload,
            time=(self.time,),
            time_format="iso" if self.iso else "ms",
            sequence=(self.seq,) if self.seq else None,
        )
        if channel.kind in READINGS:
            payload = replace(payload, values=(self.values,) if self.values else ())
        return replace(channel, payload=payload)


READINGS = ("telemetry", "metrics")  # kinds whose values go where the payload has a place for them


def rest_of(payload: Payload, values: Mapping[str, Any], *, readings: bool) -> str:
    """What follows time and number: JSON without its opening brace.

    Args:
        readings: the values go where the payload has a place for them; otherwise they are the
            payload but for time and number.

    Raises:
        InvalidReading: no JSON, or a key that is taken.
    """
    if readings and payload.values:
        body: dict[str, Any] = {}
        put(body, payload.values, dict(values))
    else:
        body = dict(values)
    for path in (payload.time, payload.sequence):
        if path and not _is_free(body, path):
            raise InvalidReading(
                f"The key {'.'.join(path)!r} is taken.", hint="Give the time as publish(…, ts=…)."
            )
    return dump(body)[1:]


def payload_of(payload: Payload, ts: int, seq: int, rest: str) -> bytes:
    """The whole message. The same number, time and rest give the same bytes."""
    head = [(p, v) for p, v in ((payload.time, _time(payload, ts)), (payload.sequence, seq)) if p]
    if all(len(path) == 1 for path, _ in head):
        parts = [f"{json.dumps(path[0], ensure_ascii=False)}:{json.dumps(v)}" for path, v in head]
        if rest != "}":
            parts.append(rest[:-1])
        return ("{" + ",".join(parts) + "}").encode()
    body = json.loads("{" + rest)
    for path, value in head:
        put(body, path, value)
    return dump(body).encode()


def unnumbered(payload: Payload, ts: int | None, values: Iterable[tuple[Path, Any]]) -> bytes:
    """A message that is not kept: status, heartbeat, the Last Will (which has no time)."""
    body: dict[str, Any] = {}
    if payload.time and ts is not None:
        put(body, payload.time, _time(payload, ts))
    for path, value in values:
        put(body, path, value)
    return dump(body).encode()


def put(body: dict[str, Any], path: Path, value: Any) -> None:
    """Write a value at a path; objects on the way are made."""
    *outer, last = path
    for key in outer:
        below = body.get(key)
        if not isinstance(below, dict):
            below = body[key] = {}
        body = below
    body[last] = value


def _is_free(body: Mapping[str, Any], path: Path) -> bool:
    below: Any = body
    for key in path[:-1]:
        if key not in below:
            return True
        below = below[key]
        if not isinstance(below, Mapping):
            return False
    return path[-1] not in below


def _time(payload: Payload, ts: int) -> str | int | float:
    if payload.time_format == "iso":
        return _iso(ts)
    if payload.time_format == "ms":
        return ts
    return ts / 1000 if ts % 1000 else ts // 1000


def dump(value: Mapping[str, Any]) -> str:
    """Compact JSON that every reader accepts.

    Raises:
        InvalidReading: not JSON: NaN, infinity, other types, halves of surrogate pairs.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidReading(f"The values cannot be written as JSON: {exc}.") from exc
    _check(value, 1)
    return text


def _check(value: Any, depth: int) -> None:
    """What the platform would reject is rejected here, where somebody can do something."""
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidReading("A text holds the character U+0000.")
    elif isinstance(value, int):
        if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            raise InvalidReading("A whole number does not fit in 64 signed bits.")
    elif isinstance(value, (Mapping, list, tuple)):
        if depth > MAX_DEPTH:
            raise InvalidReading(f"The values nest deeper than {MAX_DEPTH} levels.")
        if isinstance(value, Mapping):
            for key in value:
                _check(key, depth)
        for item in value.values() if isinstance(value, Mapping) else value:
            _check(item, depth + 1)


def _iso(ts: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ts)
    except OverflowError as exc:
        raise InvalidReading(f"The time {ts} is no epoch milliseconds.") from exc
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ts % 1000:03d}Z"
