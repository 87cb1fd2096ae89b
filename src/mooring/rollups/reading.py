"""Reading roll-ups so that the answer is exact at any moment.

    what a bucket holds = its row, or the level below while it is open
                        + the messages that no roll-up holds yet

All of it has to come from one snapshot of the database: ``snapshot`` opens one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection

from mooring.rollups import queue, store
from mooring.rollups.aggregate import Entry, add_all, summarize
from mooring.rollups.extract import Extractor
from mooring.rollups.model import MINUTE_MS, Level, Summary, bucket_of
from mooring.rollups.packing import unpack
from mooring.rollups.queue import Done, Span
from mooring.rollups.rows import fetch
from mooring.store.engine import Database

__all__ = ["Buckets", "buckets", "snapshot"]

Buckets = dict[int, dict[str, Summary]]  # beginning in minutes → metric's name → summary


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A connection on which every statement sees the same state."""
    with database.read() as connection:
        if database.is_sqlite:  # there a transaction is a snapshot anyway
            yield connection
        else:
            yield connection.execution_options(isolation_level="REPEATABLE READ")


def buckets(
    connection: Connection,
    device: int,
    channel: int,
    level: Level,
    *,
    start: int,
    end: int,
    wanted: dict[int, str],
    how: Extractor,
    limit: int,
) -> Buckets:
    """The buckets of one channel of a device that begin in a span, without the empty ones.

    Args:
        connection: of ``snapshot``.
        start, end: in minutes since 1970, both at the beginning of a bucket; ``end`` is not
            included.
        wanted: number → name of the metrics.
        how: the readings of the channel's messages.
        limit: readings taken from one message.
    """
    found: Buckets = {}

    def take(of: Level, first: int, last: int) -> None:
        for bucket, data in store.level_rows(
            connection, device, channel, of, start=first, end=last
        ):
            summaries = unpack(data, bucket * MINUTE_MS, wanted)
            if summaries:
                named = {wanted[number]: summary for number, summary in summaries.items()}
                _into(found, bucket_of(level, bucket), named)

    take(level, start, end)
    for above in (Level.DAY, Level.HOUR):
        if above <= level:
            for bucket in store.open_of(connection, device, channel, above, start=start, end=end):
                take(Level(above - 1), bucket, bucket + above.minutes)
    names = set(wanted.values())
    waiting = _waiting(connection, device, channel, start * MINUTE_MS, end * MINUTE_MS)
    for minute, entries in _by_minute(waiting, how).items():
        summaries_by_name = summarize(entries, how.skip, how.slowly, limit=limit)
        kept = {name: one for name, one in summaries_by_name.items() if name in names}
        if kept:
            _into(found, bucket_of(level, minute), kept)
    return found


# ---------------------------------------------------------------------- inside


def _into(found: Buckets, bucket: int, later: dict[str, Summary]) -> None:
    if bucket in found:
        add_all(found[bucket], later)
    else:
        found[bucket] = later


def _by_minute(rows: Sequence[tuple[int, str]], how: Extractor) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    for (ts, _), body in zip(rows, how.find([text for _, text in rows]), strict=True):
        if body:
            found.setdefault(ts // MINUTE_MS, []).append((ts, body))
    return found


def _waiting(
    connection: Connection, device: int, channel: int, start_ms: int, end_ms: int
) -> list[tuple[int, str]]:
    """(time, payload) of the messages in a span that no roll-up holds, as they arrived."""
    free, taken_on, done = queue.pending(connection)
    spans = [
        span for span in (*free, *taken_on) if span.first_ts < end_ms and span.last_ts >= start_ms
    ]
    if not spans:
        return []
    first_ts = max(start_ms, min(span.first_ts for span in spans))
    last_ts = min(end_ms - 1, max(span.last_ts for span in spans))
    rows = fetch(
        connection,
        "SELECT id, ts, payload FROM messages"  # noqa: S608 - numbers
        f" WHERE device_id = {device} AND channel_id = {channel}"
        f" AND ts BETWEEN {first_ts} AND {last_ts}"
        f" AND id BETWEEN {min(s.first_id for s in spans)} AND {max(s.last_id for s in spans)}",
    )
    rows.sort()
    is_free, is_taken_on = _Ids(free), _Ids(taken_on)
    return [
        (ts, payload)
        for number, ts, payload in rows
        if is_free.holds(number)
        or (is_taken_on.holds(number) and _is_left((device, channel, ts // MINUTE_MS), done))
    ]


def _is_left(key: tuple[int, int, int], done: Done) -> bool:
    return key > done


class _Ids:
    """Whether a number is in one of some spans."""

    def __init__(self, spans: Collection[Span]) -> None:
        ordered = sorted(spans, key=lambda span: span.first_id)
        self._first: list[Any] = [span.first_id for span in ordered]
        self._last = [span.last_id for span in ordered]

    def holds(self, number: int) -> bool:
        place = bisect_right(self._first, number) - 1
        return place >= 0 and number <= self._last[place]
