"""From what the application or the SDK says to a message in the queue.

Pure but for the clock it is given: channel and values in, a ``New`` out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mooring_device.errors import InvalidReading
from mooring_device.limits import Limits
from mooring_device.receipts import MAX_SEQ
from mooring_device.shapes import Shape
from mooring_device.tables import New, Tables

__all__ = ["Outbox", "now_ms"]


def now_ms() -> int:
    """The device's clock, in epoch milliseconds."""
    return int(time.time() * 1000)


class Outbox:
    """Knows the device's channels and the shape of their payloads.

    Args:
        topics: kind → topic.
        shape: of the dialect.
        limits: for the size of one message.
        clock: epoch milliseconds.
    """

    def __init__(
        self,
        topics: Mapping[str, str],
        shape: Shape,
        limits: Limits,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.topics = topics
        self.shape = shape
        self._limits = limits
        self._clock = clock

    def new(
        self,
        channel: str,
        values: Mapping[str, Any],
        *,
        ts: int | None = None,
        name: str = "",
    ) -> New:
        """A message for the queue.

        Args:
            channel: a kind from the device's topics.
            values: what it says.
            ts: when, in epoch milliseconds; now by default.
            name: fills the ``+`` of a topic that has one.

        Raises:
            InvalidReading: no such channel, no JSON, too large, a name that is not a topic level.
        """
        self.topic(channel, name)
        if not isinstance(values, Mapping):
            raise InvalidReading(f"The values are {type(values).__name__}, not a mapping.")
        if ts is not None and (type(ts) is not int or ts < 0):
            raise InvalidReading(f"The time {ts!r} is no epoch milliseconds.")
        rest = self.shape.rest(values, telemetry=channel == "telemetry")
        now = self._clock()
        at = now if ts is None else ts
        # As long as it can become: the number is given out later.
        whole = len(self.shape.payload(at, MAX_SEQ, rest))
        if whole > self._limits.reading_bytes:
            raise InvalidReading(
                f"The message has {whole} bytes; the limit is {self._limits.reading_bytes}."
            )
        return New(at, now, channel, name, rest, len(rest.encode()))

    def topic(self, channel: str, name: str = "") -> str:
        """Where a message of a channel goes.

        Raises:
            InvalidReading: no such channel, or its name is missing or no topic level.
        """
        topic = self.topics.get(channel)
        if topic is None:
            raise InvalidReading(
                f"This device has no channel {channel!r}.",
                hint=f"It has: {', '.join(sorted(self.topics))}.",
            )
        if "+" in topic:
            if not name or any(c in name for c in "/+#\0"):
                raise InvalidReading(
                    f"The channel {channel!r} needs a name, one topic level without / + #."
                )
            return topic.replace("+", name, 1)
        return topic

    def queue(self, tables: Tables, channel: str, values: Mapping[str, Any]) -> None:
        """Queue a message of the SDK's own, inside the caller's transaction; a dialect
        without that channel does without it."""
        if channel in self.topics:
            tables.append([self.new(channel, values)])
