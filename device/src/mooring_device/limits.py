"""What the queue may hold, and which readings go when it holds more.

Pure: sizes and ages in, a number of rows to drop out. The policy is *drop oldest*: the newest
readings are the ones a person waits for, and every drop is counted and can be asked for.

Age is determined by the clock, and a small computer without a battery starts in 1970 and jumps to
the present when it has found the time. So an age counts only between two times that can be
true; otherwise an hour's readings would be thrown away as fifty years old.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["CLOCK_FLOOR_MS", "MAX_READING_BYTES", "Drop", "Limits", "Load", "Row", "choose_drops"]

MAX_READING_BYTES = 1_000_000  # the broker discards larger ones, and says that it took them
CLOCK_FLOOR_MS = 1_735_689_600_000  # 2025-01-01: no clock that is right shows less


@dataclass(frozen=True)
class Limits:
    """The bounds of the queue.

    Attributes:
        readings: how many it holds at most, events, alerts and replies included.
        bytes: the sum of their JSON at most; the file is about a fifth larger.
        age_ms: how long one is kept, in milliseconds; 0: indefinitely.
        reading_bytes: the JSON of one reading at most; a larger one is rejected.
        pending: readings that wait in memory to be written; at this many, ``publish`` waits.
        commands: that may wait for their turn; a further one is rejected.
    """

    readings: int = 500_000
    bytes: int = 128 * 1024 * 1024
    age_ms: int = 30 * 24 * 3600 * 1000
    reading_bytes: int = 256 * 1024
    pending: int = 1_000
    commands: int = 100

    def __post_init__(self) -> None:
        counts = (self.readings, self.bytes, self.reading_bytes, self.pending, self.commands)
        if min(counts) < 1 or self.age_ms < 0:
            raise ValueError("every limit of the queue must be positive (age_ms may be 0)")
        if self.reading_bytes > MAX_READING_BYTES:
            raise ValueError(f"reading_bytes is at most {MAX_READING_BYTES}")


@dataclass(frozen=True)
class Load:
    """What the queue holds."""

    readings: int
    bytes: int


class Row(NamedTuple):
    """One held reading, as far as the policy looks at it."""

    seq: int
    size: int
    stored_ms: int


@dataclass(frozen=True)
class Drop:
    """Delete everything up to ``upto``; how many rows, how many bytes, and why."""

    upto: int = 0
    by_size: int = 0
    by_age: int = 0
    bytes: int = 0

    @property
    def rows(self) -> int:
        return self.by_size + self.by_age


def too_old(stored_ms: int, now_ms: int, age_ms: int) -> bool:
    """Whether a row is over its age, told only by clocks that can be right."""
    if age_ms == 0 or stored_ms < CLOCK_FLOOR_MS or now_ms < CLOCK_FLOOR_MS:
        return False
    return now_ms - stored_ms > age_ms


def choose_drops(oldest_first: Iterable[Row], load: Load, limits: Limits, now_ms: int) -> Drop:
    """The shortest run of oldest rows whose loss brings the queue within its limits.

    ``oldest_first`` is read only as far as needed.
    """
    readings, size = load.readings, load.bytes
    upto = by_size = by_age = dropped = 0
    for row in oldest_first:
        if readings > limits.readings or size > limits.bytes:
            by_size += 1
        elif too_old(row.stored_ms, now_ms, limits.age_ms):
            by_age += 1
        else:
            break
        upto = row.seq
        readings -= 1
        size -= row.size
        dropped += row.size
    return Drop(upto, by_size, by_age, dropped)
