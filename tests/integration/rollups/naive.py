"""Roll-ups worked out anew from every message: slow, plain, and nobody's code but this file's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Message", "naive", "plain"]

# device, channel, time, readings; in the order of arrival
Message = tuple[int, int, int, Mapping[str, Any]]
Bucket = tuple[int, int, int]  # device, channel, beginning in minutes
Facts = tuple[Any, ...]  # count, numbers, least, largest, sum, last, its time


def naive(messages: Iterable[Message], minutes: int) -> dict[Bucket, dict[str, Facts]]:
    """Each bucket of that many minutes, each metric in it."""
    values: dict[Bucket, dict[str, list[tuple[int, Any]]]] = {}
    for device, channel, ts, readings in messages:
        beginning = ts // 60_000 // minutes * minutes
        bucket = values.setdefault((device, channel, beginning), {})
        for name, value in readings.items():
            bucket.setdefault(name, []).append((ts, value))
    return {
        key: {name: _facts(said) for name, said in metrics.items()}
        for key, metrics in values.items()
        if metrics
    }


def _facts(said: list[tuple[int, Any]]) -> Facts:
    numbers = [float(value) for _, value in said if not isinstance(value, str)]
    latest = max(ts for ts, _ in said)
    last = [value for ts, value in said if ts == latest][-1]
    if not numbers:
        return (len(said), 0, None, None, None, last, latest)
    return (
        len(said),
        len(numbers),
        min(numbers),
        max(numbers),
        sum(numbers),
        last,
        latest,
    )


def plain(summaries: Mapping[str, Any]) -> dict[str, Facts]:
    """``Summary`` objects in the same form."""
    return {
        name: (
            s.count,
            s.numbers,
            float(s.minimum) if s.numbers else None,
            float(s.maximum) if s.numbers else None,
            float(s.total) if s.numbers else None,
            s.last,
            s.last_ts,
        )
        for name, s in summaries.items()
    }
