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

__all__ = ["SHAPES", "Shape", "dump", "shape_of"]


@dataclass(frozen=True)
class Shape:
    """Where time, number and values go.

    Attributes:
        time: the key of the device's time.
        iso: the time as ISO 8601 text; otherwise epoch milliseconds.
        seq: the key of the sequence number, or "" for firmware that does not count.
        values: the key of the object with the readings; "": they stand beside the time.
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
    """The shape of a dialect; one that is not known gets ``ts`` and ``seq`` beside the values."""
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
    return text


def _iso(ts: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ts)
    except OverflowError as exc:
        raise InvalidReading(f"The time {ts} is no epoch milliseconds.") from exc
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ts % 1000:03d}Z"
