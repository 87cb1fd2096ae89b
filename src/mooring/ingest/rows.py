"""A message as a row, and which of two rows of a channel is the newer one. Pure."""

from __future__ import annotations

from mooring.dialects.payload import TimeSource

__all__ = ["AHEAD_MS", "TIME_SOURCES", "MessageRow", "is_newer", "own_time"]

AHEAD_MS = 60_000  # by which a device's time may be ahead and still say what is newest
TIME_SOURCES = {TimeSource.DEVICE: 0, TimeSource.RECEIVED: 1, TimeSource.IMPLAUSIBLE: 2}

# device_id, channel_id, ts, received_at, seq, time_source, fingerprint, payload
MessageRow = tuple[int, int, int, int, int | None, int, int, str]


def is_newer(row: MessageRow, before: MessageRow) -> bool:
    """Whether ``row``, which arrived later, is also the later one of the same channel.

    The device's own times decide where both have one: a queue that is drained brings old
    readings last. A time of arrival says nothing against a device's clock, so otherwise the
    order of arrival decides: a Last Will, which carries no time, must not hide "online". A
    clock that is ahead must not keep the place either: its times count as those of arrival.
    """
    return _compared(row) >= _compared(before) or bool(row[5] or before[5])


def own_time(row: MessageRow) -> int | None:
    """The device's own time, as ``is_newer`` compares it; ``None`` where it has none."""
    return None if row[5] else _compared(row)


def _compared(row: MessageRow) -> int:
    ts, received = row[2], row[3]
    return ts if ts <= received + AHEAD_MS else received
