"""Figures of several rounds: medians, spreads, ratios of what ran side by side. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

__all__ = ["Spread", "percentile", "ratios", "shares", "spread", "spreads"]


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over several rounds."""

    median: float
    least: float
    most: float
    rounds: int

    def document(self) -> dict[str, float]:
        return asdict(self)


def spread(values: Iterable[float | None]) -> Spread | None:
    """The spread of the values that are there; ``None`` where none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.median(known), min(known), max(known), len(known))


def spreads(rounds: Sequence[Mapping[str, float | None]]) -> dict[str, Spread]:
    """The same for every figure that some round has, in the order in which they come."""
    names = dict.fromkeys(name for one in rounds for name in one)
    found = {name: spread(one.get(name) for one in rounds) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Spread | None:
    """Ours to theirs, round by round: what ran at the same time is compared with each other,
    because the machine itself is faster in one minute than in another.

    A round in which one of them is missing or zero does not count.
    """
    return spread(a / b for a, b in zip(ours, theirs, strict=False) if a is not None and b)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the ordered values lie: nearest rank.

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("There are no values.")
    rank = math.ceil(share * len(ordered) - 1e-9)  # 0.99 x 100 is 99 and a little
    return ordered[max(1, rank) - 1]


def shares(values: Iterable[float]) -> dict[str, float]:
    """The percentiles that delays are told by: p50, p90, p99, and the most.

    Raises:
        ValueError: there are no values.
    """
    ordered = sorted(values)
    wanted = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
    return {name: round(percentile(ordered, share), 3) for name, share in wanted.items()}
