"""What has to be written when new minutes come in, and when an hour or a day is over: pure.

A minute has a row as soon as something fell into it. An hour or day gets its row when it is
over; until then it is *open*: noted in ``rollup_open``, and the sum of the level below. So a
running hour costs one row a minute and not three. What comes late for an hour that has its row
already is added there, and further up in the same way. At any time every message that was
rolled up is counted exactly once at each level:

    level = its rows + for each open bucket, the level below
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from mooring.rollups.model import MINUTE_MS, Key, Level, Summary, bucket_of
from mooring.rollups.packing import pack, unpack

__all__ = ["Writes", "merge", "parents", "seal"]

Metrics = dict[int, Summary]  # by the metric's number


@dataclass(slots=True)
class Writes:
    """What one transaction changes."""

    rows: dict[Key, Metrics] = field(default_factory=dict)
    opened: set[Key] = field(default_factory=set)
    closed: set[Key] = field(default_factory=set)

    def packed(self) -> list[tuple[Key, bytes]]:
        return [(key, pack(metrics, key[3] * MINUTE_MS)) for key, metrics in self.rows.items()]


def parents(key: Key) -> list[Key]:
    """The hour and the day of a minute, the day of an hour, nothing of a day."""
    device, channel, level, bucket = key
    return [
        (device, channel, int(above), bucket_of(above, bucket)) for above in Level if above > level
    ]


def merge(
    news: Mapping[Key, Metrics], existing: Mapping[Key, bytes], opened: Container[Key]
) -> Writes:
    """Takes in new minutes.

    Args:
        news: what is new, by minute.
        existing: the rows there are, of these minutes and of those of their hours and days
            that are not open.
        opened: the hours and days that are open.
    """
    writes = Writes()
    for key, metrics in news.items():
        _add(writes, existing, key, metrics)
        # Rows further up are there already, so they copy what they do not hold.
        _pass_up(writes, existing, opened, key, metrics)
    return writes


def seal(
    over: Mapping[Key, Iterable[tuple[Key, bytes]]],
    existing: Mapping[Key, bytes],
    opened: Container[Key],
) -> Writes:
    """Gives hours, or days, that are over their rows.

    Args:
        over: open buckets, all of one level, with the rows of the level below that lie in
            them, in the order of time.
        existing: the rows there are of the buckets above that are not open.
        opened: the hours and days that are open.
    """
    writes = Writes()
    for key, below in over.items():
        whole: Metrics = {}
        for (*_, bucket), data in below:
            _add_all(whole, unpack(data, bucket * MINUTE_MS))
        writes.closed.add(key)
        if whole:
            writes.rows[key] = whole
            _pass_up(writes, existing, opened, key, whole)
    return writes


# ---------------------------------------------------------------------- inside


def _pass_up(
    writes: Writes,
    existing: Mapping[Key, bytes],
    opened: Container[Key],
    key: Key,
    metrics: Metrics,
) -> None:
    for above in parents(key):
        if above in opened:
            return
        if above not in existing:
            writes.opened.add(above)
            return
        _add(writes, existing, above, metrics)


def _add(writes: Writes, existing: Mapping[Key, bytes], key: Key, metrics: Metrics) -> None:
    row = writes.rows.get(key)
    if row is None:
        data = existing.get(key)
        if data is None:
            writes.rows[key] = metrics
            return
        row = writes.rows[key] = unpack(data, key[3] * MINUTE_MS)
    _add_all(row, metrics)


def _add_all(into: Metrics, later: Metrics) -> None:
    for metric, summary in later.items():
        known = into.get(metric)
        if known is None:
            into[metric] = summary.copy()
        else:
            known.add(summary)
