"""Keeps the state of every device up to date: one process at a time, from stored evidence.

Evidence is read where others store it: the broker's events by their number, statements of devices
by their time, messages only when a device may be silent. So telemetry costs nothing. What is
written is one transaction with the mark up to which evidence was read: after a kill the next
process continues there.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from sqlalchemy.engine import Connection

from mooring.broker.log import LogKind
from mooring.dialects import Catalogue
from mooring.dialects.live import LiveCatalogue
from mooring.errors import MooringError
from mooring.presence.states import store
from mooring.presence.states.intervals import INTERVALS, learned
from mooring.presence.states.machine import (
    LAG_MS,
    Event,
    Record,
    State,
    advance,
    due,
    grace,
    restarted,
    shown,
    tick,
)
from mooring.presence.states.reasons import sentence
from mooring.presence.states.store import (
    EVENT_MARK,
    EVIDENCE,
    STATEMENT_MARK,
    Changed,
    Known,
    Seen,
    Session,
)
from mooring.settings import Settings
from mooring.store import versions
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout

__all__ = ["PresenceWorker"]

log = logging.getLogger(__name__)

STEP_SECONDS = 1.0
STANDBY_SECONDS = 3.0
SWEEP_MS = 30_000  # between two looks for devices that nobody announced
EVENTS_AT_ONCE = 5_000
OVERLAP_MS = 10_000  # a statement may be committed later than the time in it
LEARN_MS = 3_600_000  # how long a learned interval counts
UNKNOWN_MS = 900_000  # after which a device without one is looked at again
TIMES_SINCE_MS = 30 * 86_400_000  # how far back messages are looked at
DELAYED_MS = 600_000  # by which an event of before a start may be late
LEARN_AT_ONCE = 200  # devices whose interval is worked out in one step


class PresenceWorker:
    """Folds evidence into records.

    Args:
        catalogue: the dialects as they are now.
        grace_ms: how long devices may take to come back after a restart, at least: one with a
            long keepalive has more.
    """

    def __init__(
        self, database: Database, catalogue: Callable[[], Catalogue], grace_ms: int
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._grace_ms = grace_ms
        self._known: dict[int, Known] | None = None  # None: not read yet
        self._timers: list[tuple[int, int]] = []
        self._next: dict[int, int] = {}  # number → the timer that counts
        self._swept_at = 0
        self._events = 0
        self._statements = 0
        self._evidence: tuple[int, ...] | None = None  # as it was when all of it was folded
        self._lookout = Lookout(database)
        self._running_at = 0  # when the broker was last started
        self._opened_at = 0  # when this worker was

    @classmethod
    def of(cls, database: Database, settings: Settings, catalogue: Catalogue) -> Self:
        """One that follows reloaded dialects."""
        stored = versions.stored(database, "dialects")
        live = LiveCatalogue(settings.dialects_dir, stored, catalogue)
        return cls(database, live.get, settings.presence_grace_seconds * 1000)

    async def run(self) -> None:
        """Until cancelled."""
        lease = Lease(self._database, "presence")
        try:
            while True:
                try:
                    busy = await self._turn(lease)
                except MooringError as exc:
                    log.warning("presence is delayed: %s", exc)
                    self._known, busy = None, False
                    await asyncio.sleep(STANDBY_SECONDS)
                if not busy:
                    standby = self._known is None
                    await asyncio.sleep(STANDBY_SECONDS if standby else STEP_SECONDS)
        finally:
            self._lookout.close()

    async def _turn(self, lease: Lease) -> bool:
        if not (lease.fresh or await asyncio.to_thread(lease.held, after_dead=True)):
            self._known = None
            return False
        if self._lookout.waits:
            return await asyncio.to_thread(self.look, now_ms())
        now = now_ms()  # a look is cheaper than the way to a thread
        return self._is_needed(now) and await asyncio.to_thread(self.step, now)

    def look(self, now: int) -> bool:
        """``step``, where it may find something to do. Returns and raises as it does."""
        return self._is_needed(now) and self.step(now)

    def _is_needed(self, now: int) -> bool:
        """Whether ``step`` may find something to do. The question is asked before the step reads,
        so what is committed meanwhile is found by the next one."""
        before = self._evidence
        since = self._statements - OVERLAP_MS
        found = self._lookout.ask(EVIDENCE, {"since": since}, always=before is None)
        evidence = before if found is None else tuple(int(value or 0) for value in found)
        self._evidence = evidence
        return (
            self._known is None
            or evidence != before
            or not 0 <= now - self._swept_at < SWEEP_MS
            or bool(self._timers and self._timers[0][0] <= now)
        )

    def step(self, now: int) -> bool:
        """One turn; whether more evidence waits.

        Raises:
            DatabaseUnavailable: nothing was written; what is known is to be read again.
        """
        if self._known is None:
            self._open(now)
        assert self._known is not None
        evidence, self._evidence = self._evidence, None  # an exception leaves work to be done
        work = _Work(self._known)
        waiting = self._due(now)
        with self._database.read() as connection:
            events, upto = store.sessions(connection, self._events, EVENTS_AT_ONCE)
            said = store.statements(connection, self._statements - OVERLAP_MS)
            looked_at = store.seen(connection, waiting)
            others = self._sweep(connection, now)
        for event in events:
            self._fold(work, event, now)
        for one in (*said, *others):
            self._state(work, one, now)
        self._learn(work, waiting, now)
        for number in waiting:
            self._look(work, number, looked_at.get(number), now)
        newest = max((min(_said(one), now) for one in said), default=0)
        self._write(work, upto, max(newest, self._statements))
        for number in {*work.changed, *waiting}:
            self._remind(number, now)
        if len(events) == EVENTS_AT_ONCE:
            return True
        self._evidence = evidence
        return False

    def _sweep(self, connection: Connection, now: int) -> list[Seen]:
        """Devices that neither the broker nor a statement has announced."""
        if 0 <= now - self._swept_at < SWEEP_MS:
            return []
        since = now - SWEEP_MS - OVERLAP_MS
        new = store.never_looked_at(connection, EVENTS_AT_ONCE)
        if len(new) < EVENTS_AT_ONCE:
            self._swept_at = now
        return [*store.returned(connection, since, EVENTS_AT_ONCE), *new]

    def _open(self, now: int) -> None:
        """Reads everything, and takes this start for a restart of the platform."""
        with self._database.write() as connection:
            known = store.every(connection)
            events = store.mark(connection, EVENT_MARK)
            if events is None:
                events = store.newest_event(connection)
                store.set_mark(connection, EVENT_MARK, events)
            self._statements = store.mark(connection, STATEMENT_MARK) or now
        self._events, self._swept_at, self._opened_at = events, 0, now
        self._known = {
            number: one._replace(record=restarted(one.record, now, self._grace_ms))
            for number, one in known.items()
        }
        self._timers, self._next = [], {}
        for number in self._known:
            self._remind(number, now)

    # ------------------------------------------------------------------ evidence

    def _fold(self, work: _Work, event: Session, now: int) -> None:
        at = min(event.at, now)
        if event.device is None:
            if event.event == str(LogKind.RUNNING):
                self._running_at = at
            for number, one in list(work.known.items()):
                # Not stored: every start of this worker does the same.
                work.known[number] = one._replace(record=restarted(one.record, at, self._grace_ms))
                work.changed.add(number)
            return
        if 0 < self._running_at - at < DELAYED_MS:
            return  # of a session of the broker that ended; it was delivered late
        kind = Event.LOGIN if event.event == str(LogKind.CONNECTED) else Event.GONE
        reason = sentence(event.detail) if kind is Event.GONE else ""
        work.feed(event.device, kind, at, reason, keepalive=event.keepalive)
        if 0 < self._opened_at - at < DELAYED_MS:
            # Nobody had looked at it before this start, which ends what it began.
            before = work.record(event.device)
            work.put(event.device, restarted(before, self._opened_at, self._grace_ms), at)

    def _state(self, work: _Work, seen: Seen, now: int) -> None:
        """What a device reports of its presence."""
        if seen.device not in work.known and seen.connected:
            work.feed(seen.device, Event.LOGIN, min(seen.heard_at or now, now))
            return
        before = work.record(seen.device)
        if seen.said_at is not None and seen.online is not None:
            at = min(seen.said_at, now)
            if seen.online and at > before.heard_at:
                work.feed(seen.device, Event.SAID_ONLINE, at)
            elif not seen.online and at >= before.heard_at:
                work.feed(seen.device, Event.SAID_OFFLINE, at)
        if seen.announced_at is not None:
            at = min(seen.announced_at, now)
            if at > max(before.session_at, before.since, before.announced_at or 0):
                work.feed(seen.device, Event.ANNOUNCED, at)
        self._hear(work, seen, now)

    def _look(self, work: _Work, number: int, seen: Seen | None, now: int) -> None:
        """What has become due: first what a device has sent meanwhile counts."""
        one = work.known.get(number)
        if one is None:
            return
        record = one.record
        if seen is not None:
            over = record.grace_until is not None and record.grace_until <= now
            if record.connected and seen.connected is False:
                work.feed(number, Event.GONE, now, sentence(""))  # its end was never reported
            elif over and seen.connected:
                work.feed(number, Event.LOGIN, min(seen.heard_at or now, now))
            else:
                self._hear(work, seen, now)
        record = work.known[number].record
        work.put(number, tick(record, now, one.interval), now)

    def _hear(self, work: _Work, seen: Seen, now: int) -> None:
        """Its newest message, unless it says that the device goes, or is older than what is known
        or than a restart."""
        record = work.record(seen.device)
        heard = min(seen.heard_at or 0, now)
        restart = 0
        if record.grace_until is not None:
            restart = record.grace_until - grace(record, self._grace_ms)
        left = seen.online is False and seen.said_at is not None and heard <= seen.said_at
        if heard > max(record.heard_at, restart) and not left:
            work.feed(seen.device, Event.HEARD, heard)

    # ------------------------------------------------------------------ intervals

    def _learn(self, work: _Work, numbers: Iterable[int], now: int) -> None:
        """How often these devices send, where that is not known or was learned long ago."""
        old = [
            number
            for number in numbers
            if number in work.known and _is_old(work.known[number], now)
        ][:LEARN_AT_ONCE]
        if not old:
            return
        declared = {one.name: one.interval_ms for one in self._catalogue().all()}
        with self._database.read() as connection:
            dialects = store.dialects_of(connection, old)
            for number in old:
                interval = declared.get(dialects.get(number, ""))
                if interval is None:
                    since = now - TIMES_SINCE_MS
                    interval = learned(store.times(connection, number, INTERVALS + 1, since))
                work.known[number] = work.known[number]._replace(interval=interval, interval_at=now)
                work.touched.add(number)
                work.changed.add(number)

    # ------------------------------------------------------------------ timers

    def _due(self, now: int) -> list[int]:
        found: list[int] = []
        while self._timers and self._timers[0][0] <= now and len(found) < EVENTS_AT_ONCE:
            at, number = heapq.heappop(self._timers)
            if self._next.get(number) == at:  # else it was replaced by an earlier one
                del self._next[number]
                found.append(number)
        return found

    def _remind(self, number: int, now: int) -> None:
        """Looks at the device again when something is due; a timer that comes too early costs a
        look."""
        one = None if self._known is None else self._known.get(number)
        if one is None:
            return
        times = [due(one.record, one.interval)]
        if one.record.state is not State.OFFLINE:
            first = one.record.since + LAG_MS
            again = one.interval_at + (UNKNOWN_MS if one.interval is None else LEARN_MS)
            times.append(again if one.interval_at else first)
        at = max(min((time for time in times if time is not None), default=-1), now + 1)
        if times != [None] and at < self._next.get(number, at + 1):
            self._next[number] = at
            heapq.heappush(self._timers, (at, number))

    # ------------------------------------------------------------------ writing

    def _write(self, work: _Work, events: int, statements: int) -> None:
        if work.touched or events != self._events:
            with self._database.write() as connection:
                there = store.write(
                    connection, ((number, work.known[number]) for number in work.touched)
                )
                store.add_changes(
                    connection, [(number, one) for number, one in work.changes if number in there]
                )
                store.set_mark(connection, EVENT_MARK, events)
                store.set_mark(connection, STATEMENT_MARK, statements)
            for number in work.touched - there:
                del work.known[number]
        self._known, self._events, self._statements = work.known, events, statements


def _is_old(one: Known, now: int) -> bool:
    most = UNKNOWN_MS if one.interval is None else LEARN_MS
    return not 0 <= now - one.interval_at < most


class _Work:
    """What one turn changes."""

    def __init__(self, known: Mapping[int, Known]) -> None:
        self.known = dict(known)
        self.touched: set[int] = set()  # to be stored
        self.changed: set[int] = set()  # whose timers are different
        self.changes: list[tuple[int, Changed]] = []

    def record(self, number: int) -> Record:
        one = self.known.get(number)
        return Record() if one is None else one.record

    def feed(
        self,
        number: int,
        event: Event,
        at: int,
        reason: str = "",
        *,
        keepalive: int | None = None,
    ) -> None:
        one = self.known.get(number)
        before = self.record(number)
        after = advance(before, event, at, reason, keepalive=keepalive)
        if one is None:
            self.known[number] = Known(before)
            self.touched.add(number)
            self.changed.add(number)
        self.put(number, after, at)

    def put(self, number: int, record: Record, at: int) -> None:
        one = self.known[number]
        if record == one.record:
            return
        self.known[number] = one._replace(record=record)
        self.changed.add(number)
        if record._replace(heard_at=0) != one.record._replace(heard_at=0):
            self.touched.add(number)
        if shown(record) is not shown(one.record):
            moved = record.since if record.state is not one.record.state else at
            self.changes.append((number, Changed(moved, shown(record), record.reason)))


def _said(seen: Seen) -> int:
    return max(seen.said_at or 0, seen.announced_at or 0)
