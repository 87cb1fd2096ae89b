"""Largest-triangle-three-buckets: fewer points that look the same on a chart. Pure.

Sveinn Steinarsson, Downsampling Time Series for Visual Representation (2013): the first and
the last point stay; of each of the equal parts between them that point which makes the
largest triangle with the one chosen before and the average of the next part.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["lttb"]


def lttb(points: Sequence[tuple[int, float]], count: int) -> list[int]:
    """The indices of the points to keep, in order.

    Args:
        points: (time, value), in the order of time; finite values.
        count: how many to keep, at least 2 where there are as many.
    """
    size = len(points)
    if size <= count:
        return list(range(size))
    if count < 3:
        return [0, size - 1][: max(count, 0)]
    kept = [0]
    every = (size - 2) / (count - 2)
    for part in range(count - 2):
        first, last = int(part * every) + 1, int((part + 1) * every) + 1
        following = points[last : min(int((part + 2) * every) + 1, size)]
        next_x = sum(x for x, _ in following) / len(following)
        next_y = sum(y / len(following) for _, y in following)  # no overflow on the way
        from_x, from_y = points[kept[-1]]
        best, largest = first, -1.0
        for index in range(first, last):
            x, y = points[index]
            area = abs((from_x - next_x) * (y - from_y) - (from_x - x) * (next_y - from_y))
            if area > largest:
                best, largest = index, area
        kept.append(best)
    kept.append(size - 1)
    return kept
