"""Curves for drawing: least, mean and greatest value of each step, as columns. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from mooring.rollups.model import Summary

__all__ = ["Band", "Bands", "band", "gap_after"]

GAP_INTERVALS = 3
"""Intervals between two messages without any that make a gap."""


@dataclass(frozen=True, slots=True)
class Band:
    """One metric as columns of equal length, in the order of time.

    A time at which every other column is ``None`` is within a gap: a line is not drawn across it.

    Attributes:
        metric: its name.
        ts: beginnings of steps, or times of messages; epoch milliseconds.
        least, mean, greatest: of the numbers of a step; a boolean is 0 or 1. ``None``: a gap, or
            the number is beyond what can be drawn.
        count: numbers in the step; ``None``: a gap.
    """

    metric: str
    ts: list[int] = field(default_factory=list)
    least: list[float | None] = field(default_factory=list)
    mean: list[float | None] = field(default_factory=list)
    greatest: list[float | None] = field(default_factory=list)
    count: list[int | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bands:
    """What was asked for, and how it was found.

    Attributes:
        start, end: what is covered, epoch milliseconds; whole steps. ``end`` is not included.
        source: ``messages``, ``minutes``, ``hours`` or ``days``.
        step_ms: the length of a step; ``None``: a point is a message.
        curves: one for each metric asked for, in that order.
    """

    start: int
    end: int
    source: str
    step_ms: int | None
    curves: list[Band]


def band(metric: str, steps: Mapping[int, Mapping[str, Summary]], step_ms: int | None) -> Band:
    """The columns of one metric.

    Args:
        steps: beginning of a step → metric → summary, in the order of time.
        step_ms: the length of a step; ``None``: each is a message.
    """
    found = [(ts, s[metric]) for ts, s in steps.items() if metric in s and s[metric].numbers]
    longest = gap_after([ts for ts, _ in found], [s.numbers for _, s in found], step_ms or 0)
    columns, before = Band(metric), None
    for ts, summary in found:
        if before is not None and longest is not None and ts - before > longest:
            _add(columns, before + (step_ms or 1), None)
        _add(columns, ts, summary)
        before = ts
    return columns


def gap_after(times: Sequence[int], counts: Sequence[int], step_ms: int) -> int | None:
    """The longest time between two points that a line is drawn across, in milliseconds.

    A gap is a time without values for certain that is longer than ``GAP_INTERVALS`` of the
    usual intervals. ``None``: too few points to know.

    Args:
        times: of the points, in their order.
        counts: values in each.
        step_ms: the length of a step; 0: a point is a message.
    """
    if len(times) < 3:
        return None
    apart = median([later - earlier for earlier, later in pairwise(times)])
    interval = apart / median(counts)
    return step_ms + max(1, round(GAP_INTERVALS * interval))


def _add(columns: Band, ts: int, summary: Summary | None) -> None:
    columns.ts.append(ts)
    if summary is None:
        drawn: tuple[float | None, ...] = (None, None, None)
    else:
        drawn = (_drawn(summary.minimum), summary.average, _drawn(summary.maximum))
    for column, value in zip((columns.least, columns.mean, columns.greatest), drawn, strict=True):
        column.append(value)
    columns.count.append(None if summary is None else summary.numbers)


def _drawn(value: float) -> float | None:
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number that no double holds
        return None
