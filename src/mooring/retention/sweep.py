"""Takes away what is older than its term, a little at a time.

On SQLite messages go in the order in which they came (their number), counted from when they
were received: the oldest are the next ones, and nothing is searched for. On PostgreSQL whole
weeks are dropped once they are older than the longest term; where a kind or a tenant has a
shorter one, its messages go device by device, by the index over device and time. Roll-ups go
by the same index on both. A message that no roll-up holds yet is never taken.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from mooring.retention import store
from mooring.retention.policy import Policy, cutoff
from mooring.rollups.model import Level
from mooring.store import partitions, usage
from mooring.store.engine import Database
from mooring.supervisor.rows import RowFaults

__all__ = ["FAULTS", "Swept", "sweep"]

LOCK_MS = 10.0  # what a transaction is to take
PAIRS_AT_ONCE = 50  # devices and channels looked at before others get their turn
ROWS_FIRST, ROWS_LEAST, ROWS_MOST = 500, 50, 5_000
DAY_MS = 86_400_000
FAULTS = "the retention of"


@dataclass(slots=True)
class Swept:
    """What one run has taken away so far.

    ``partitions``: weeks dropped whole (PostgreSQL); their messages are in no count.
    """

    messages: int = 0
    rollups: int = 0
    partitions: int = 0
    longest_ms: float = 0.0


class _Pace:
    """How many rows fit into one short transaction."""

    def __init__(self, swept: Swept) -> None:
        self._swept = swept
        self.rows = ROWS_FIRST

    def took(self, rows: int, started: float) -> None:
        ms = (time.perf_counter() - started) * 1000
        self._swept.longest_ms = max(self._swept.longest_ms, ms)
        if rows >= self.rows or ms > LOCK_MS:
            wanted = int(min(self.rows * LOCK_MS / max(ms, 0.1), self.rows * 1.5))
            self.rows = max(ROWS_LEAST, min(wanted, ROWS_MOST))


def sweep(
    database: Database, policy: Policy, now: int, faults: RowFaults | None = None
) -> Iterator[Swept]:
    """One whole run; yields after every transaction, so that others get their turn.

    Args:
        faults: devices and metrics of which something could not be deleted.

    Raises:
        DatabaseUnavailable: what was done stays done; the next run does the rest.
    """
    run = _Run(database, policy, now, faults or RowFaults(FAULTS))
    if database.is_sqlite:
        for days in policy.message_terms():
            yield from run.by_number(days)
    else:
        yield from run.by_week()
        for days in policy.message_terms():
            if days != policy.longest:
                yield from run.by_device(days)
    yield from run.rollups()
    yield run.swept


class _Run:
    def __init__(self, database: Database, policy: Policy, now: int, faults: RowFaults) -> None:
        self._faults = faults
        self._database = database
        self._policy = policy
        self._now = now
        self.swept = Swept()
        self._pace = _Pace(self.swept)
        with database.read() as connection:
            self._tenants = store.device_tenants(connection)
            self._kinds = store.channel_kinds(connection)

    def _days(self, device: int, channel: int) -> int:
        tenant, kind = self._tenants.get(device, ""), self._kinds.get(channel, "")
        return self._policy.of_messages(tenant, kind)

    # ------------------------------------------------------------------ messages on SQLite

    def by_number(self, days: int) -> Iterator[Swept]:
        """One term, from where the last run left off to the first row that is too young."""
        oldest = cutoff(days, self._now)
        assert oldest is not None
        while True:
            with self._database.read() as connection:
                done = store.progress(connection, days)
                stop = store.not_rolled_up_from(connection)
                rows = store.rows_after(connection, done, stop, self._pace.rows)
            expired = [row for row in rows if row[3] < oldest]
            if not expired:
                return
            ids = [
                number
                for number, device, channel, _ in expired
                if 0 < self._days(device, channel) <= days
            ]
            with self._database.write() as connection:
                started = time.perf_counter()
                gone = store.delete_messages(connection, ids)
                usage.subtract(connection, usage.of_sizes(gone, self._tenants))
                self.swept.messages += len(gone)
                store.save_progress(connection, days, expired[-1][0])
            self._pace.took(len(rows), started)
            yield self.swept

    # ------------------------------------------------------------------ messages on PostgreSQL

    def by_week(self) -> Iterator[Swept]:
        """Drops what is older than the longest term, and rolled up."""
        longest = self._policy.longest
        oldest = None if longest is None else cutoff(longest, self._now)
        if oldest is None:
            return
        end = self._rolled_up(oldest)
        self.swept.partitions += len(partitions.drop_before(self._database, end))
        with self._database.write() as connection:
            # Not together with the drop: see there. What a killed process leaves, the next finds.
            if partitions.listed(connection).floor <= end:
                usage.forget_before(connection, partitions.week_of(end) // DAY_MS)
        yield self.swept

    def by_device(self, days: int) -> Iterator[Swept]:
        """One term that is not the longest, from the time the last run came to."""
        oldest = cutoff(days, self._now)
        assert oldest is not None
        end = self._rolled_up(oldest)
        with self._database.read() as connection:
            done = store.progress(connection, days)
        start = min(done, end)  # after the time went back it begins there again
        before = self._faults.failures
        for device in self._tenants:
            channels = [c for c in self._kinds if 0 < self._days(device, c) <= days]
            if channels:
                with self._faults.isolated(("device", device)):
                    yield from self._of_device(device, channels, start, end)
                yield self.swept
        # Where a device failed, the next run begins at the same time again.
        if end != done and self._faults.failures == before:
            with self._database.write() as connection:
                store.save_progress(connection, days, end)

    def _of_device(self, device: int, channels: list[int], start: int, end: int) -> Iterator[Swept]:
        while True:
            with self._database.read() as connection:
                first = store.first_time(connection, device, start)
            if first is None or first >= end:
                return
            # A day at a time: one device's messages of a day are not a long transaction.
            start = min(first + DAY_MS, end)
            with self._database.write() as connection:
                started = time.perf_counter()
                gone = store.delete_of_device(connection, device, channels, first, start)
                usage.subtract(connection, usage.of_sizes(gone, self._tenants))
            self.swept.messages += len(gone)
            self._pace.took(len(gone), started)
            yield self.swept

    def _rolled_up(self, oldest: int) -> int:
        """That time, or an earlier one before which everything is rolled up."""
        with self._database.read() as connection:
            waiting = store.oldest_waiting(connection)
        return oldest if waiting is None else min(oldest, waiting)

    # ------------------------------------------------------------------ roll-ups

    def rollups(self) -> Iterator[Swept]:
        pair = (0, 0)
        for looked in itertools.count(1):
            if looked % PAIRS_AT_ONCE == 0:  # also where there is nothing to delete
                yield self.swept
            with self._database.read() as connection:
                following = store.next_pair(connection, pair)
                if following is None:
                    return
                pair = following
                still_open = store.open_from(connection, pair)
            with self._faults.isolated(("device, metric", *pair)):
                yield from self._levels_of(pair, still_open)

    def _levels_of(self, pair: tuple[int, int], still_open: int | None) -> Iterator[Swept]:
        for level in Level:
            minutes = level is Level.MINUTE
            days = self._policy.of_rollups(self._tenants.get(pair[0], ""), minutes=minutes)
            oldest = cutoff(days, self._now)
            if oldest is not None:
                before = oldest // DAY_MS * Level.DAY.minutes  # whole days
                if still_open is not None:
                    before = min(before, still_open)
                yield from self._of_pair(pair, level, before)

    def _of_pair(self, pair: tuple[int, int], level: Level, before: int) -> Iterator[Swept]:
        while True:
            with self._database.read() as connection:
                first = store.first_bucket(connection, pair, level)
            if first is None or first >= before:
                return
            with self._database.write() as connection:
                started = time.perf_counter()
                until = min(before, first + self._pace.rows * level.minutes)
                gone = store.delete_rollups(connection, pair, level, until)
            self.swept.rollups += gone
            self._pace.took(gone, started)
            yield self.swept
