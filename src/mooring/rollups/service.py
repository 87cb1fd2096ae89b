"""Keeps roll-ups up to date: takes what batches added, in rounds, and seals what is over.

A round: claim what waits (``rollup_queue``) → read those rows once, in the order they were
stored → group them by device, channel and minute → merge the minutes into the tables, a few
hundred at a time. Each transaction also writes how far the round is, so an interrupted round
continues where it was, and every message is counted exactly once however late, early or out of
order it came: merging asks neither for the rest of the minute's rows nor that they still exist.

Only one roller works at a time; a second one notices at its first write (``Superseded``).
Nothing here waits, sleeps or knows a clock of its own.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mooring.dialects import Catalogue, PayloadLimits
from mooring.rollups import metrics, queue, store
from mooring.rollups.aggregate import Entry, add_all, summarize
from mooring.rollups.extract import Extractor, extractor
from mooring.rollups.merge import Writes, merge, parents, seal
from mooring.rollups.model import MINUTE_MS, ROLLED, Key, Level, Summary
from mooring.rollups.names import Names, Refused
from mooring.rollups.queue import NOTHING_DONE, Span, State, Superseded
from mooring.store.engine import Database
from mooring.supervisor.rows import RowFaults

__all__ = ["Figures", "Roller", "round_due"]

ROUND_ROWS = 100_000  # messages in one round, about; they are in memory together, 0.5 kB each
READ_ROWS = 5_000  # read at once on SQLite: a long read keeps its log from being emptied
LOCK_MS = 10.0  # what a transaction is to hold the database's lock for; twice that at most
SUM_UP_AT = 32  # messages of one minute
WRITE_FIRST, WRITE_LEAST, WRITE_MOST = 100, 10, 4_000  # minutes in one transaction
SETTLE_MS = 5_000  # how long after a minute its messages are still on their way
SEAL_MS = 120_000  # after the end of an hour or day, it gets its row
SEALS_AT_ONCE = 20
LOOK_MS = 10_000  # between two looks for what is over

MinuteKey = tuple[int, int, int]  # device, channel, minute


@dataclass(slots=True)
class Figures:
    """What this process has done."""

    messages: int = 0  # read, and in
    minutes: int = 0
    sealed: int = 0
    rounds: int = 0
    longest_write_ms: float = 0.0


def round_due(now: int, last_round_at: int, waiting: int, *, round_rows: int = ROUND_ROWS) -> bool:
    """Whether to begin a round: once a minute, soon after its end, so that a minute of a quiet
    device is written once; immediately when there is enough for a full one.

    Args:
        now, last_round_at: epoch milliseconds.
        waiting: messages that are in no roll-up yet.
    """
    if waiting <= 0:
        return False
    if waiting >= round_rows:
        return True
    return (now - SETTLE_MS) // MINUTE_MS > (last_round_at - SETTLE_MS) // MINUTE_MS


class Minute:
    """What was read of one channel of a device in one minute: messages, and a summary of those
    that came before them. A busy device's messages are summed up while they are in the
    processor's cache, and need not be kept."""

    __slots__ = ("entries", "summaries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.summaries: dict[str, Summary] = {}

    def sum_up(self, how: Extractor, limit: int) -> dict[str, Summary]:
        if self.entries:
            later = summarize(self.entries, how.skip, how.slowly, limit=limit)
            self.entries = []
            if self.summaries:
                add_all(self.summaries, later)
            else:
                self.summaries = later
        return self.summaries


@dataclass(slots=True)
class _Round:
    """A round under way. ``left`` are the minutes still to be merged, the next one last."""

    extractors: dict[int, Extractor]
    limit: int
    faults: RowFaults
    minutes: dict[MinuteKey, Minute] = field(default_factory=dict)
    left: list[MinuteKey] = field(default_factory=list)
    messages: int = 0

    def take(self, rows: Sequence[tuple[int, int, int, str]]) -> None:
        """Some thousand (device, channel, time, payload), in the order of arrival."""
        grown: defaultdict[MinuteKey, list[Entry]] = defaultdict(list)
        for number, how in self.extractors.items():
            mine = rows if len(self.extractors) == 1 else [r for r in rows if r[1] == number]
            bodies = self._find(how, mine)
            for (device, _, ts, _), body in zip(mine, bodies, strict=True):
                if body:
                    grown[device, number, ts // MINUTE_MS].append((ts, body))
        for key, entries in grown.items():
            minute = self.minutes.get(key)
            if minute is None:
                minute = self.minutes[key] = Minute()
            minute.entries += entries
            if len(minute.entries) >= SUM_UP_AT:
                with self.faults.isolated(key):
                    minute.sum_up(self.extractors[key[1]], self.limit)

    def _find(
        self, how: Extractor, rows: Sequence[tuple[int, int, int, str]]
    ) -> list[dict[str, Any] | None]:
        """The bodies of messages; of one that cannot be read, nothing."""
        try:
            return how.find([row[3] for row in rows])
        except Exception:  # noqa: BLE001 - one of them; the others are read one by one
            found: list[dict[str, Any] | None] = []
            for row in rows:
                body: dict[str, Any] | None = None
                with self.faults.isolated(row[:3]):
                    body = how.find([row[3]])[0]
                found.append(body)
            return found


class Roller:
    """Does one step at a time.

    Args:
        database: where messages and roll-ups are.
        catalogue: gives the dialects as they are now.
        limits: how many readings one message may have.
        metrics_max: metrics one device may have.
        round_rows: messages in one round.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Callable[[], Catalogue],
        *,
        limits: PayloadLimits | None = None,
        metrics_max: int = 256,
        round_rows: int = ROUND_ROWS,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._limits = limits or PayloadLimits()
        self._metrics_max = metrics_max
        self._round_rows = round_rows
        self._write_size = WRITE_FIRST
        self._last_round_at = 0
        self._known: State | None = None
        self._opened: set[Key] = set()
        self._names = Names(database, metrics_max)
        self._round: _Round | None = None
        self._over: list[Key] = []
        self._look_at = 0
        self._dropped = 0
        self.figures = Figures()
        self.waiting = 0
        self.faults = RowFaults("the roll-up of (device, channel, time)", retried=False)

    # ------------------------------------------------------------------ queries

    def step(self, now: int) -> bool:
        """Does a piece of work; whether there is more to do at once.

        Raises:
            DatabaseUnavailable: nothing is lost; ask again.
        """
        try:
            return self._step(now)
        except Superseded:
            self._forget()
            return True
        except BaseException:
            self._forget()
            raise

    def catch_up(self, now: int) -> None:
        """Until nothing waits any more and nothing is left to seal at this time."""
        self._last_round_at = self._look_at = 0
        while self.step(now):
            self._last_round_at = self._look_at = 0

    # ------------------------------------------------------------------ one step

    def _step(self, now: int) -> bool:
        if now < self._last_round_at or now < self._look_at - LOOK_MS:
            self._last_round_at = self._look_at = 0  # the time went back
        if self._known is None:
            self._learn()
        if self._round is not None:
            self._merge_some(now)
            return True
        with self._database.read() as connection:
            self.waiting, taken_on = queue.backlog(connection)
        if taken_on or round_due(
            now, self._last_round_at, self.waiting, round_rows=self._round_rows
        ):
            self._begin_round(now, resumed=taken_on > 0)
            return True
        return self._seal_some(now)

    def _learn(self) -> None:
        with self._database.write() as connection:
            queue.begin(connection)
        with self._database.read() as connection:
            self._known = queue.state(connection)
            self._opened = store.opened(connection)

    def _forget(self) -> None:
        """After a fault nothing in memory is believed any more; the database knows."""
        self._known, self._round = None, None
        self._over, self._look_at = [], 0

    # ------------------------------------------------------------------ a round

    def _begin_round(self, now: int, *, resumed: bool) -> None:
        assert self._known is not None
        if resumed:
            with self._database.read() as connection:
                spans = queue.claimed(connection)
        else:
            with self._database.write() as connection:
                known = queue.advance(connection, self._known, NOTHING_DONE)
                spans = queue.claim(connection, self._round_rows)
            self._known = known
        self._round = self._read(spans)
        self._last_round_at = now

    def _read(self, spans: list[Span]) -> _Round:
        assert self._known is not None
        self._dropped = 0
        with self._database.read() as connection:
            extractors = self._extractors(queue.rolled_channels(connection, ROLLED))
            for span in spans:
                queue.prepare_index(connection, span)
            connection.commit()
        current = _Round(extractors, self._limits.max_metrics, self.faults)
        for span in self._pieces(spans):
            with self._database.read() as connection:
                rows = queue.message_rows(connection, span, extractors)
            current.messages += len(rows)
            for start in range(0, len(rows), READ_ROWS):
                current.take(rows[start : start + READ_ROWS])
        done = self._known.done
        current.left = sorted((key for key in current.minutes if key > done), reverse=True)
        return current

    def _extractors(self, channels: dict[int, tuple[str, str]]) -> dict[int, Extractor]:
        catalogue = self._catalogue()
        known = set(catalogue.names())
        found: dict[int, Extractor] = {}
        for number, (dialect, name) in channels.items():
            channel = catalogue.get(dialect).channel(name) if dialect in known else None
            made = None if channel is None else extractor(channel, self._limits, self._drop)
            if made is not None:
                found[number] = made
        return found

    def _drop(self, readings: int) -> None:
        self._dropped += readings

    def _pieces(self, spans: Iterable[Span]) -> Iterator[Span]:
        for span in spans:
            if not self._database.is_sqlite:
                yield span
                continue
            for first in range(span.first_id, span.last_id + 1, READ_ROWS):
                yield Span(
                    first,
                    min(first + READ_ROWS - 1, span.last_id),
                    span.first_ts,
                    span.last_ts,
                )

    def _merge_some(self, now: int) -> None:
        """The next few minutes of the round, in one transaction."""
        current = self._round
        assert current is not None and self._known is not None
        if not current.left:
            self._finish_round(current)
            self._seal_some(now)  # also when one round follows on the other
            return
        keys = [current.left.pop() for _ in range(min(self._write_size, len(current.left)))]
        summaries = self._summarize(keys, current)
        numbered, refused = self._names.number(summaries)
        news = {(d, c, int(Level.MINUTE), m): row for (d, c, m), row in numbered.items()}
        above = {key for minute in news for key in parents(minute)} - self._opened
        with self._database.read() as connection:
            existing = store.existing(connection, [*news, *above])
        writes = merge(news, existing, self._opened)
        self._commit(writes, done=keys[-1], refused=refused, at=now)
        self.figures.minutes += len(news)

    def _summarize(
        self, keys: list[MinuteKey], current: _Round
    ) -> dict[MinuteKey, dict[str, Summary]]:
        found: dict[MinuteKey, dict[str, Summary]] = {}
        for key in keys:
            minute = current.minutes.pop(key)
            with self.faults.isolated(key):  # its messages stay; only its roll-up is missing
                by_name = minute.sum_up(current.extractors[key[1]], current.limit)
                if by_name:
                    found[key] = by_name
        return found

    def _finish_round(self, current: _Round) -> None:
        assert self._known is not None
        with self._database.write() as connection:
            known = queue.advance(connection, self._known, NOTHING_DONE)
            queue.finish(connection)
            queue.count(connection, "rollup_messages", current.messages)
            queue.count(connection, "metrics_dropped", self._dropped)
        self._known, self._round = known, None
        self.figures.messages += current.messages
        self.figures.rounds += 1

    # ------------------------------------------------------------------ sealing

    def _seal_some(self, now: int) -> bool:
        """Gives some of the hours and days that are over their rows; whether any were."""
        assert self._known is not None
        keys = self._next_to_seal(now)
        if not keys:
            return False
        above = {key for one in keys for key in parents(one)} - self._opened
        with self._database.read() as connection:
            over = {key: store.rows_below(connection, key) for key in keys}
            existing = store.existing(connection, above)
        writes = seal(over, existing, self._opened)
        self._commit(writes, done=self._known.done, refused=[], at=now)
        self.figures.sealed += len(keys)
        return True

    def _next_to_seal(self, now: int) -> list[Key]:
        """A few of one level: a day read together with its hours would miss what they gain."""
        if not self._over and now >= self._look_at:
            self._look_at = now + LOOK_MS
            self._over = sorted(
                (key for key in self._opened if _is_over(key, now)),
                key=lambda key: (-key[2], key[3]),
            )
        keys = self._over[-SEALS_AT_ONCE:]
        keys = [key for key in keys if key[2] == keys[-1][2]]
        del self._over[len(self._over) - len(keys) :]
        return keys

    # ------------------------------------------------------------------ writing

    def _commit(self, writes: Writes, *, done: MinuteKey, refused: list[Refused], at: int) -> None:
        assert self._known is not None
        rows = writes.packed()
        with self._database.write() as connection:
            started = time.perf_counter()
            known = queue.advance(connection, self._known, done)
            store.write(connection, rows, writes.opened, writes.closed)
            metrics.refuse(connection, [(r.device, r.values, r.example) for r in refused], at)
            queue.count(connection, "metrics_refused", sum(r.values for r in refused))
        took = (time.perf_counter() - started) * 1000
        self._known = known
        self._opened -= writes.closed
        self._opened |= writes.opened
        self._pace(took)

    def _pace(self, took_ms: float) -> None:
        self.figures.longest_write_ms = max(self.figures.longest_write_ms, took_ms)
        wanted = self._write_size * LOCK_MS / max(took_ms, 0.1)
        size = int(min(wanted, self._write_size * 1.5))
        self._write_size = max(WRITE_LEAST, min(size, WRITE_MOST))


def _is_over(key: Key, now: int) -> bool:
    return key[3] * MINUTE_MS + Level(key[2]).span_ms + SEAL_MS <= now
