"""The gap ledger: which of a device's numbers are committed, and which are missing.

Pure. A device that numbers its readings keeps each until a receipt covers it. ``Ledger`` says
up to where everything is committed, and which ranges above that are. It never claims more
than is committed: when there are too many ranges to remember, the highest are forgotten, the
device sends those again, and they are recognised as repetitions.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from mooring.dialects.payload import MAX_SEQUENCE

__all__ = [
    "NUMBER_MAX",
    "RANGES_MAX",
    "Numbers",
    "Range",
    "add",
    "gaps",
    "holds",
    "merge",
    "pack_ranges",
    "parse_ranges",
    "receipt",
    "unpack_ranges",
]

Range = tuple[int, int]  # first and last, both included

NUMBER_MAX = MAX_SEQUENCE  # the largest sequence number, and the most that is counted as lost
RANGES_MAX = 1000  # ranges remembered above ``upto`` for one device
RECEIPT_RANGES = 50  # ranges in one receipt; the rest follows in later ones


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is committed of one device.

    Attributes:
        upto: every number from 1 to here is committed or lost permanently; 0: none.
        above: committed ranges beyond, in order, apart from each other and from ``upto``.
        lost: how many numbers the device has reported it no longer has.
    """

    upto: int = 0
    above: tuple[Range, ...] = ()
    lost: int = 0

    @property
    def highest(self) -> int:
        return self.above[-1][1] if self.above else self.upto

    def holds(self, number: int) -> bool:
        return number <= self.upto or any(a <= number <= b for a, b in self.above)

    def settles(self, number: int) -> bool:
        """Whether waiting for this number is of no further use: it is committed, or beyond
        all that can be remembered while so much below it is missing. In that case no receipt
        covers it, and the device keeps it."""
        full = len(self.above) >= RANGES_MAX
        return self.holds(number) or (full and number > self.highest)


def merge(numbers: Numbers, committed: Iterable[int], lost: Iterable[Range] = ()) -> Numbers:
    """With these numbers committed, and these ranges given up by the device.

    What the ranges say twice, or say of numbers that are committed, counts once or not at
    all. The work grows with the number of ranges, not with what they span.
    """
    ranges = list(numbers.above)
    ranges += ((n, n) for n in committed if n > numbers.upto)
    upto, above = _union(numbers.upto, ranges)
    gone = list(lost)
    count = numbers.lost
    if gone:
        held = upto + _size(above)
        upto, above = _union(upto, [*above, *gone])
        count = min(NUMBER_MAX, count + upto + _size(above) - held)
    return replace(numbers, upto=upto, above=tuple(above[:RANGES_MAX]), lost=count)


def add(ranges: list[Range], new: Range) -> None:
    """Adds a range to ranges that are sorted and apart from each other, and stay so."""
    first, last = new
    begin = bisect_left(ranges, first - 1, key=_last)
    end = bisect_right(ranges, last + 1, lo=begin, key=_first)
    if begin < end:  # it touches these
        first, last = min(first, ranges[begin][0]), max(last, ranges[end - 1][1])
    ranges[begin:end] = [(first, last)]


def holds(ranges: Sequence[Range], number: int) -> bool:
    """Whether a number is in ranges that are sorted and apart from each other."""
    place = bisect_right(ranges, number, key=_first)
    return place > 0 and number <= ranges[place - 1][1]


_first, _last = itemgetter(0), itemgetter(1)


def _union(upto: int, ranges: list[Range]) -> tuple[int, list[Range]]:
    """Up to where everything is there, and the ranges above it: sorted, apart from each other."""
    ranges.sort()
    above: list[Range] = []
    for first, last in ranges:
        if first <= upto + 1:
            upto = max(upto, last)
        elif above and first <= above[-1][1] + 1:
            above[-1] = (above[-1][0], max(above[-1][1], last))
        else:
            above.append((first, last))
    return upto, above


def _size(ranges: Sequence[Range]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def gaps(numbers: Numbers) -> list[Range]:
    """The missing ranges, lowest first: between ``upto`` and the highest number seen."""
    missing: list[Range] = []
    expected = numbers.upto + 1
    for first, last in numbers.above:
        missing.append((expected, first - 1))
        expected = last + 1
    return missing


def receipt(numbers: Numbers) -> dict[str, object]:
    """The receipt for the device."""
    told: dict[str, object] = {"upto": min(numbers.upto, NUMBER_MAX)}
    # What an older version stored may be larger: no device could read the receipt.
    above = [[first, min(last, NUMBER_MAX)] for first, last in numbers.above if first <= NUMBER_MAX]
    if above:
        told["also"] = above[:RECEIPT_RANGES]
    return told


def pack_ranges(ranges: Sequence[Range]) -> str:
    """For the database."""
    return json.dumps(ranges, separators=(",", ":"))


def unpack_ranges(text: str) -> tuple[Range, ...]:
    return tuple((first, last) for first, last in json.loads(text))


def parse_ranges(said: object) -> list[Range]:
    """What a device reports it has lost: ``[[first, last], …]``; anything else is passed over."""
    if not isinstance(said, list):
        return []
    return [
        (pair[0], pair[1])
        for pair in said[:RANGES_MAX]
        if isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) for n in pair)
        and 0 < pair[0] <= pair[1] <= NUMBER_MAX
    ]
