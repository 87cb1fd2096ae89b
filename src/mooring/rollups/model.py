"""The values of roll-ups: levels, keys, and what is known of one metric in one span of time.

Times are epoch milliseconds; a bucket is named by its beginning in minutes since 1970 (UTC).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from mooring.dialects import Kind, Scalar

__all__ = ["MINUTE_MS", "NAME_MAX", "ROLLED", "TEXT_MAX", "Key", "Level", "Summary", "bucket_of"]

MINUTE_MS = 60_000
NAME_MAX = 256  # characters of a metric's name; a longer one is rejected and counted
TEXT_MAX = 256  # characters kept of a value that is text; the message has it whole

# Whose messages are rolled up.
ROLLED = frozenset({Kind.TELEMETRY, Kind.METRICS})

Key = tuple[int, int, int, int]  # device, channel, level, bucket


class Level(IntEnum):
    """How long a bucket is. The numbers are stored."""

    MINUTE = 0
    HOUR = 1
    DAY = 2

    @property
    def minutes(self) -> int:
        return (1, 60, 1440)[self]

    @property
    def span_ms(self) -> int:
        return self.minutes * MINUTE_MS

    @property
    def parent(self) -> Level | None:
        return None if self is Level.DAY else Level(self + 1)


def bucket_of(level: Level, minute: int) -> int:
    """The bucket that holds this minute."""
    return minute - minute % level.minutes


@dataclass(slots=True)
class Summary:
    """One metric in one bucket.

    Attributes:
        count: every value, text as well.
        numbers: those of them that count as numbers; a boolean is 0 or 1.
        minimum, maximum, total: of the numbers; they mean nothing while ``numbers`` is 0.
        last: the value with the latest time, as it was sent; of two with the same time the
            one that arrived later.
        last_ts: its time.
    """

    count: int
    numbers: int
    minimum: int | float
    maximum: int | float
    total: int | float
    last: Scalar
    last_ts: int

    def add(self, later: Summary) -> None:
        """Takes in what arrived after this."""
        if later.numbers:
            if self.numbers:
                self.minimum = min(self.minimum, later.minimum)
                self.maximum = max(self.maximum, later.maximum)
                self.total += later.total
            else:
                self.minimum, self.maximum = later.minimum, later.maximum
                self.total = later.total
            self.numbers += later.numbers
        self.count += later.count
        if later.last_ts >= self.last_ts:
            self.last, self.last_ts = later.last, later.last_ts

    def copy(self) -> Summary:
        return Summary(
            self.count,
            self.numbers,
            self.minimum,
            self.maximum,
            self.total,
            self.last,
            self.last_ts,
        )

    @property
    def average(self) -> float | None:
        """``None`` without numbers, or where their sum is beyond what a double holds."""
        if not self.numbers:
            return None
        try:
            found = self.total / self.numbers
        except OverflowError:
            return None
        return found if math.isfinite(found) else None
