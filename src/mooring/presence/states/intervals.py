"""How often a device sends, from its own messages. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["INTERVALS", "learned"]

INTERVALS = 20
"""Intervals that are looked at; with fewer nothing is expected."""

INTERVAL_MAX_MS = 86_400_000
"""Nothing is expected of a device that sends less often."""

_PLACE = -(-INTERVALS * 95 // 100) - 1


def learned(times: Sequence[int]) -> int | None:
    """The 95th percentile of the newest ``INTERVALS`` intervals, in milliseconds: one long pause
    among them does not count.

    Args:
        times: when messages came, epoch milliseconds.
    """
    ordered = sorted(times)[-INTERVALS - 1 :]
    if len(ordered) <= INTERVALS:
        return None
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(ordered))
    found = gaps[_PLACE]
    return found if 0 < found <= INTERVAL_MAX_MS else None
