"""From what the application or the SDK says to a message in the queue, and to its bytes.

Pure but for the clock it is given: channel and values in, a ``New`` out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mooring_device.dialect import Channel, Dialect
from mooring_device.errors import InvalidReading
from mooring_device.limits import Limits
from mooring_device.receipts import MAX_SEQ
from mooring_device.shapes import READINGS, payload_of, rest_of
from mooring_device.tables import Held, New, Tables

__all__ = ["Outbox", "Outgoing", "now_ms"]


def now_ms() -> int:
    """The device's clock, in epoch milliseconds."""
    return int(time.time() * 1000)


class Outgoing(NamedTuple):
    """A message as it goes out."""

    topic: str
    payload: bytes
    retain: bool


class Outbox:
    """Knows the device's channels and the shape of their payloads.

    Args:
        dialect: of the device; may be replaced while the device is not connected.
        limits: for the size of one message.
        clock: epoch milliseconds.
    """

    def __init__(
        self,
        dialect: Dialect,
        limits: Limits,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.dialect = dialect
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
            channel: the kind or the name of a channel that the device sends on.
            values: what it says.
            ts: when, in epoch milliseconds; now by default.
            name: fills the ``+`` of a topic that has one.

        Raises:
            InvalidReading: no such channel, no JSON, too large, a name that is not a topic level.
        """
        found = self._channel(channel)
        _topic(found, name)
        if not isinstance(values, Mapping):
            raise InvalidReading(f"The values are {type(values).__name__}, not a mapping.")
        if ts is not None and (type(ts) is not int or ts < 0):
            raise InvalidReading(f"The time {ts!r} is no epoch milliseconds.")
        rest = rest_of(found.payload, values, readings=found.kind in READINGS)
        now = self._clock()
        at = now if ts is None else ts
        # As long as it can become: the number is given out later.
        whole = len(payload_of(found.payload, at, MAX_SEQ, rest))
        if whole > self._limits.reading_bytes:
            raise InvalidReading(
                f"The message has {whole} bytes; the limit is {self._limits.reading_bytes}."
            )
        return New(at, now, channel, name, rest, len(rest.encode()))

    def outgoing(self, held: Held) -> Outgoing:
        """A message of the queue as it goes out.

        Raises:
            InvalidReading: the device does not have its channel any more.
        """
        channel = self._channel(held.channel)
        payload = payload_of(channel.payload, held.ts, held.seq, held.rest)
        return Outgoing(_topic(channel, held.name), payload, channel.retain)

    def queue(self, tables: Tables, channel: str, values: Mapping[str, Any]) -> None:
        """Queue a message of the SDK's own, inside the caller's transaction; a dialect
        without that channel does without it."""
        if self.dialect.up(channel) is not None:
            tables.append([self.new(channel, values)])

    def _channel(self, kind_or_name: str) -> Channel:
        found = self.dialect.up(kind_or_name)
        if found is None:
            raise InvalidReading(
                f"This device has no channel {kind_or_name!r} to send on.",
                hint=f"It has: {', '.join(sorted(self.dialect.ups))}.",
            )
        return found


def _topic(channel: Channel, name: str) -> str:
    topic = channel.topics[0]
    if "+" not in topic:
        return topic
    if not name or any(c in name for c in "/+#\0"):
        raise InvalidReading(
            f"The channel {channel.name!r} needs a name, one topic level without / + #."
        )
    return topic.replace("+", name, 1)
