"""How a payload looks in each dialect: which key holds the time, whether it is numbered.

Pure: values in, JSON out. What the queue keeps of a message is everything behind its time
and number (``rest``), because the number is given out in the transaction that stores it.
A repeat has the same bytes as the first, so that the platform knows it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from mooring_device.errors import InvalidReading

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "SHAPES", "Shape", "dump", "shape_of"]


MAX_DEPTH = 32  # of nested objects and arrays, as on the platform
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Shape:
    """Where time, number and values go.

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

    def rest(self, values: Mapping[str, Any], *, telemetry: bool) -> str:
        """What follows time and number: JSON without its opening brace.

        Raises:
            InvalidReading: no JSON, or a key that is taken.
        """
        if telemetry and self.values:
            return dump({self.values: dict(values)})[1:]
        for taken in (self.time, self.seq):
            if taken and taken in values:
                raise InvalidReading(
                    f"The key {taken!r} is taken.", hint="Give the time as publish(…, ts=…)."
                )
        return dump(dict(values))[1:]

    def head(self, ts: int, seq: int) -> str:
        """Time and number, with the opening brace."""
        text = '{"' + self.time + '":' + (f'"{_iso(ts)}"' if self.iso else str(ts))
        return f'{text},"{self.seq}":{seq}' if self.seq else text

    def payload(self, ts: int, seq: int, rest: str) -> bytes:
        """The whole message."""
        return (self.head(ts, seq) + ("" if rest == "}" else ",") + rest).encode()

    def unnumbered(self, ts: int, values: Mapping[str, Any]) -> bytes:
        """A message that is not kept: status, heartbeat."""
        time = _iso(ts) if self.iso else ts
        return dump({self.time: time, **values}).encode()


SHAPES = {
    "mooring": Shape(values="values"),
    "drivesafe": Shape("timestamp", iso=True),
    "pulse": Shape("timestamp", iso=True),
    "iotflow": Shape("timestamp", iso=True, seq=""),
    "mousetrap": Shape("timestamp", iso=True, seq=""),
    "smarthome": Shape("timestamp", iso=True, seq="", values="sensors"),
}


def shape_of(dialect: str) -> Shape:
    """The shape of a dialect; one that is not known gets ``ts`` and ``seq`` next to the values."""
    return SHAPES.get(dialect, Shape())


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
