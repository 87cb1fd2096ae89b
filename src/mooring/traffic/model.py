"""Messages over time, from what the platform's counters were at some times. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["COUNTED", "HOUR_MS", "MINUTE_MS", "Sample", "Step", "steps"]

MINUTE_MS, HOUR_MS = 60_000, 3_600_000

COUNTED = {
    "received": ("messages_stored", "messages_duplicate"),
    "sent": ("downlinks_sent", "desired_published"),
    "rejected": ("dead_letters", "dead_letters_dropped"),
}
"""Column → the counters whose sum it is."""


class Sample(NamedTuple):
    """Messages since the beginning of the installation, as counted at a time (epoch
    milliseconds)."""

    at: int
    received: int
    sent: int
    rejected: int


class Step(NamedTuple):
    """Messages between two times; ``None``: not known."""

    start: int
    end: int
    received: int | None = None
    sent: int | None = None
    rejected: int | None = None


def steps(samples: Sequence[Sample], start: int, step_ms: int, number: int) -> list[Step]:
    """That many steps from ``start`` on.

    A time without samples is spread evenly over its steps, which then add up to what was counted.
    Counters that became less (a backup was restored) say nothing of the time in between.

    Args:
        samples: in the order of time.
    """
    bounds = [start + step_ms * at for at in range(number + 1)]
    totals = _totals(samples, bounds)
    found = []
    for begin, end, before, after in zip(bounds, bounds[1:], totals, totals[1:], strict=False):
        if (
            before is None
            or after is None
            or any(b > a for b, a in zip(before, after, strict=True))
        ):
            found.append(Step(begin, end))
        else:
            amounts = (round(a) - round(b) for b, a in zip(before, after, strict=True))
            found.append(Step(begin, end, *amounts))
    return found


def _totals(
    samples: Sequence[Sample], bounds: Sequence[int]
) -> list[tuple[float, float, float] | None]:
    """What was counted at each of the times; between two samples as if evenly."""
    found: list[tuple[float, float, float] | None] = []
    at = 0
    for bound in bounds:
        while at < len(samples) and samples[at].at < bound:
            at += 1
        if at < len(samples) and samples[at].at == bound:
            found.append(samples[at][1:])
        elif 0 < at < len(samples):
            before, after = samples[at - 1], samples[at]
            share = (bound - before.at) / (after.at - before.at)
            fell = any(b > a for b, a in zip(before[1:], after[1:], strict=True))
            between = [b + (a - b) * share for b, a in zip(before[1:], after[1:], strict=True)]
            found.append(None if fell else (between[0], between[1], between[2]))
        else:
            found.append(None)
    return found
