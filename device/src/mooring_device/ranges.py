"""Sets of sequence numbers as ranges: ``(first, last)``, both included.

Pure. A normal set is sorted, without overlaps and without neighbours: ``((1, 4), (7, 7))``.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Range", "Ranges", "compress", "contains", "count", "intersect", "normal", "subtract"]

Range = tuple[int, int]
Ranges = tuple[Range, ...]


def normal(ranges: Iterable[Range]) -> Ranges:
    """The same numbers, sorted and merged; empty ranges (``first > last``) fall out."""
    merged: list[Range] = []
    for first, last in sorted(r for r in ranges if r[0] <= r[1]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def compress(numbers: Iterable[int]) -> Ranges:
    """Single numbers in rising order, as ranges."""
    merged: list[Range] = []
    for number in numbers:
        if merged and number == merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], number)
        else:
            merged.append((number, number))
    return tuple(merged)


def intersect(one: Ranges, other: Ranges) -> Ranges:
    """The numbers in both; both must be normal."""
    result: list[Range] = []
    i = j = 0
    while i < len(one) and j < len(other):
        first = max(one[i][0], other[j][0])
        last = min(one[i][1], other[j][1])
        if first <= last:
            result.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(result)


def subtract(one: Ranges, other: Ranges) -> Ranges:
    """The numbers in ``one`` and not in ``other``; both must be normal."""
    result: list[Range] = []
    j = 0
    for first, last in one:
        low = first
        while j < len(other) and other[j][1] < low:
            j += 1
        k = j
        while k < len(other) and other[k][0] <= last:
            if low < other[k][0]:
                result.append((low, other[k][0] - 1))
            low = other[k][1] + 1
            k += 1
        if low <= last:
            result.append((low, last))
    return tuple(result)


def contains(ranges: Ranges, number: int) -> bool:
    """Whether ``number`` is in one of the ranges."""
    return any(first <= number <= last for first, last in ranges)


def count(ranges: Ranges) -> int:
    """How many numbers."""
    return sum(last - first + 1 for first, last in ranges)
