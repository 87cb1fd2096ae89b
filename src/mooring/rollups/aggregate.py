"""From messages to summaries: pure. One pass, column by column where messages are alike.

A channel's messages nearly always have the same keys, so the values of a bucket are turned
into columns, and ``min``, ``max`` and ``sum`` run over each in C. What is unlike goes value by
value, by the rules of ``mooring.dialects.meaning``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from mooring.dialects import Scalar
from mooring.rollups.model import TEXT_MAX, Summary

__all__ = ["Entry", "Readings", "add_all", "summarize", "summary_of"]

Readings = Callable[[Any], Mapping[str, Scalar]]  # what the dialect says the readings are
Entry = tuple[int, dict[str, Any]]  # time, the object that holds the readings

_NUMBERS = {int, float}
_PLAIN = {int, float, bool, str}


def summarize(
    entries: Sequence[Entry], skip: frozenset[str], slowly: Readings, *, limit: int
) -> dict[str, Summary]:
    """Every metric of the messages of one bucket.

    Args:
        entries: (time, the object that holds the readings), in the order of arrival.
        skip: keys of that object that are not readings.
        slowly: the readings of one such object, for those that need a closer look.
        limit: readings taken from one message.
    """
    first = entries[0][1]
    names = [name for name in first if name not in skip] if skip else list(first)
    if not names or len(names) > limit:
        return _one_by_one(entries, slowly)
    if len(entries) == 1:
        return _of_one(entries[0], names, slowly)
    bodies = [body for _, body in entries]
    if set(map(len, bodies)) != {len(first)}:
        return _one_by_one(entries, slowly)
    try:
        columns = _columns(bodies, list(first))
    except KeyError:  # as many keys, but others
        return _one_by_one(entries, slowly)
    times = [ts for ts, _ in entries]
    last_ts = max(times)
    last = len(times) - 1 - times[::-1].index(last_ts)
    found: dict[str, Summary] = {}
    for name in names:
        column = columns[name]
        types = set(map(type, column))
        if not types <= _PLAIN:
            return _one_by_one(entries, slowly)
        found[name] = _of_column(column, types, column[last], last_ts)
    return found


def summary_of(value: Scalar, ts: int) -> Summary:
    """A single value."""
    if isinstance(value, str):
        return Summary(1, 0, 0, 0, 0, value[:TEXT_MAX], ts)
    number = int(value) if isinstance(value, bool) else value
    return Summary(1, 1, number, number, number, value, ts)


def add_all(into: dict[str, Summary], later: Mapping[str, Summary]) -> None:
    """Takes the summaries of a later part into those of an earlier one."""
    for name, summary in later.items():
        known = into.get(name)
        if known is None:
            into[name] = summary.copy()
        else:
            known.add(summary)


# ---------------------------------------------------------------------- inside


def _of_one(entry: Entry, names: list[str], slowly: Readings) -> dict[str, Summary]:
    ts, body = entry
    found: dict[str, Summary] = {}
    for name in names:
        value = body[name]
        kind = type(value)
        if kind is float or kind is int:
            found[name] = Summary(1, 1, value, value, value, value, ts)
        elif kind in _PLAIN:
            found[name] = summary_of(value, ts)
        else:
            return _one_by_one([entry], slowly)
    return found


def _columns(bodies: Sequence[dict[str, Any]], names: list[str]) -> dict[str, Sequence[Any]]:
    if len(names) == 1:
        return {names[0]: [body[names[0]] for body in bodies]}
    return dict(zip(names, zip(*map(itemgetter(*names), bodies), strict=True), strict=True))


def _of_column(column: Sequence[Any], types: set[type], last: Scalar, last_ts: int) -> Summary:
    if type(last) is str:
        last = last[:TEXT_MAX]
    if types <= _NUMBERS:
        numbers: Sequence[int | float] = column
    elif types == {bool}:
        size = len(column)
        return Summary(size, size, int(min(column)), int(max(column)), sum(column), last, last_ts)
    else:
        numbers = [
            int(value) if type(value) is bool else value
            for value in column
            if type(value) is not str
        ]
    if not numbers:
        return Summary(len(column), 0, 0, 0, 0, last, last_ts)
    total = _float_sum(numbers) if float in types else sum(numbers)
    return Summary(len(column), len(numbers), min(numbers), max(numbers), total, last, last_ts)


def _float_sum(numbers: Sequence[int | float]) -> float:
    try:
        return math.fsum(numbers)
    except OverflowError:  # a partial sum is beyond a double; the plain sum says infinity
        return float(sum(map(float, numbers)))


def _one_by_one(entries: Sequence[Entry], slowly: Readings) -> dict[str, Summary]:
    found: dict[str, Summary] = {}
    for ts, body in entries:
        for name, value in slowly(body).items():
            summary = summary_of(value, ts)
            known = found.get(name)
            if known is None:
                found[name] = summary
            else:
                known.add(summary)
    return found
