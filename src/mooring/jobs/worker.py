"""Starts the targets of jobs at their pace, and counts what became of them.

One process at a time, the one that holds the lease. One turn of one job is one transaction that
holds the job's row: the targets and what carries them out are written together, so a worker that
is killed leaves each target either waiting or handed over, and none twice.

A turn is short, and tenants take turns, so a large job delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from mooring.errors import Invalid
from mooring.jobs import outcomes, selection, store, target_store
from mooring.jobs.kinds import JobKind, Steering
from mooring.jobs.model import Job, Outcome
from mooring.jobs.rules import (
    OVER,
    Decision,
    Event,
    Facts,
    State,
    TargetState,
    decide,
    follow,
    rank,
    spent,
)
from mooring.jobs.starting import LEAST_JUDGED, MOST_JUDGED, start_some
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.clock import deletion_time
from mooring.store.engine import Database, now_ms
from mooring.store.leased import LeasedLoop
from mooring.store.leases import Lease
from mooring.store.tally import add_to_counter
from mooring.supervisor.rows import RowFaults

__all__ = ["LEASE", "JobWorker"]

log = logging.getLogger(__name__)

LEASE = "jobs"
POLL_SECONDS = 0.1
LOOK_SECONDS = 0.5  # between two looks when nobody commits anything and no job is due earlier
BREAK_SECONDS = 0.003  # between two turns: others write, too
TURN_SECONDS = 0.06  # what a turn should take at most
BATCH_MIN, BATCH_MAX = 50, 250  # targets started in one turn; a small one costs nearly as much
DUE_AT_ONCE = 500  # jobs looked at
NO_ROOM_MS = 1_000  # between two attempts when the tenant has too much open
SWEEP_MS = 15_000  # between two looks for outcomes that nobody has reported
TIDY_SECONDS = 60.0
DAY_MS = 86_400_000
COUNTED = {
    State.DONE: "jobs_done",
    State.CANCELLED: "jobs_cancelled",
    State.EXPIRED: "jobs_expired",
}


@dataclass(slots=True)
class _Memory:
    """What this process knows of a job besides its row; lost, it is worked out again.

    Attributes:
        served_at: monotonic; when it had its last turn.
        sweep_at: when outcomes are looked for next, epoch milliseconds.
        sweep_after: the rank where that continues.
        withdrawn: the rank up to which a cancelled job has taken targets back; ``None``: all.
        facts: what its kind said in this turn.
        times: of its targets, until this turn changes one.
        judged: how many targets its kind looks at in the next turn.
    """

    served_at: float = 0.0
    sweep_at: int = 0
    sweep_after: int = -1
    withdrawn: int | None = -1
    facts: Facts | None = None
    times: Facts | None = None
    judged: int = MOST_JUDGED


class JobWorker:
    """See the module.

    Args:
        faults: jobs whose turn failed; the others continue.
    """

    def __init__(
        self,
        database: Database,
        instance: Instance,
        settings: Settings,
        kinds: Mapping[str, JobKind],
        *,
        faults: RowFaults | None = None,
    ) -> None:
        self._database = database
        self._instance = instance
        self._settings = settings
        self._kinds = kinds
        self._lease = Lease(database, LEASE)
        self.faults = faults or RowFaults("the job")
        self._memory: dict[int, _Memory] = {}
        self._batch = BATCH_MAX // 2
        self._tidy_at = 0.0
        self._next_due: int | None = None

    def use(self, kinds: Mapping[str, JobKind]) -> None:
        """Dialects were reloaded."""
        self._kinds = kinds

    async def run(self) -> None:
        """Until cancelled."""
        await LeasedLoop(
            self._database,
            self._lease,
            question=store.WORK,
            is_due=self._is_due,
            step=self.step,
            poll=POLL_SECONDS,
            look=LOOK_SECONDS,
            until_due=self._until_due,
            between=_let_others_write,
        ).run()

    def _is_due(self, found: Sequence[Any]) -> bool:
        self._next_due = found[2]
        return bool(found[0] or found[1])

    def _until_due(self) -> float:
        """Seconds until a job moves by time alone, at most ``LOOK_SECONDS``."""
        if self._next_due is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(BREAK_SECONDS, (self._next_due - now_ms()) / 1000))

    def step(self) -> bool:
        """One turn of one job of each tenant that has work; whether there is more to do now.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        if not self._lease.held(after_dead=True):
            return False
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_SECONDS
            self._tidy()
        with self._database.read() as connection:
            found = store.due(connection, now_ms(), DUE_AT_ONCE)
        found = [one for one in found if not self.faults.postponed(one[0])]
        more = len({tenant for _, tenant in found}) < len(found)
        for number in self._turns(found):
            with self.faults.isolated(number):
                more |= self._turn(number)
        return more

    def _turns(self, found: Sequence[tuple[int, str]]) -> list[int]:
        """Of each tenant the job that has waited longest."""
        of_tenant: dict[str, tuple[float, int]] = {}
        for number, tenant in found:
            place = (self._memory.setdefault(number, _Memory()).served_at, number)
            of_tenant[tenant] = min(of_tenant.get(tenant, place), place)
        return [number for _, number in sorted(of_tenant.values())]

    # ------------------------------------------------------------------ one turn

    def _turn(self, number: int) -> bool:
        memory = self._memory.setdefault(number, _Memory())
        memory.served_at = began = time.monotonic()
        started = 0
        with self._database.write() as connection:
            before = store.one(connection, self._instance, number, lock=True)
            if before is None:
                self._memory.pop(number, None)
                return False
            at = now_ms()
            kind = self._kinds.get(before.kind)
            if isinstance(kind, Steering):
                kind.settle(connection, before, at)
            job, more = target_store.count_outcomes(connection, before, store.AT_ONCE)
            if job.state not in OVER and not more:
                job, more, started = self._move(connection, job, memory, at)
            if job.state not in OVER:
                due_at = at if more else self._due_at(connection, job, memory, at)
                job = replace(job, due_at=due_at)
            if job != before:
                store.write(connection, job)
        self._adapt(started, time.monotonic() - began)
        if job.over:
            self._memory.pop(number, None)
        return more

    def _adapt(self, started: int, seconds: float) -> None:
        """The size of the next turn, so that other writers wait for a short time only."""
        if started:
            size = int(self._batch * min(2.0, TURN_SECONDS / max(seconds, 0.001)))
            self._batch = max(BATCH_MIN, min(BATCH_MAX, size))

    def _due_at(self, connection: Connection, job: Job, memory: _Memory, at: int) -> int | None:
        following = decide(job.plan, job.progress, at, self._times(connection, job, memory, at))
        due = at if following.event or following.start else following.due_at
        if due is not None and due <= at and job.due_at is not None and job.due_at > at:
            due = job.due_at  # there was no room for what is due
        if job.counts.handed_over:
            memory.sweep_at = min(memory.sweep_at or at + SWEEP_MS, at + SWEEP_MS)
            due = memory.sweep_at if due is None else min(due, memory.sweep_at)
        return due

    def _move(
        self, connection: Connection, job: Job, memory: _Memory, at: int
    ) -> tuple[Job, bool, int]:
        """The job after its next step, whether there is more to do now, and how many targets
        were started."""
        kind = self._kinds.get(job.kind)
        if kind is None:
            raise Invalid(f"There is no kind of job {job.kind}.", code="unknown_job_kind")
        memory.facts = memory.times = None
        if isinstance(kind, Steering) and job.state is State.RUNNING and not job.retrying:
            memory.facts = kind.facts(connection, job, at)
        facts = self._times(connection, job, memory, at)
        decision = decide(job.plan, job.progress, at, facts)
        if decision.event is not None:
            return self._enter(connection, job, decision.event, decision.why, at)
        if job.retrying:
            return self._put_back(connection, job), True, 0
        if job.state is State.PREPARING:
            return self._prepare(connection, kind, job, at), True, 0
        if job.state in (State.CANCELLING, State.EXPIRING):
            return (*self._end(connection, kind, job, memory, at), 0)
        if job.counts.handed_over and memory.sweep_at and at >= memory.sweep_at:
            self._sweep(connection, kind, job, memory, at)
        job = replace(job, wave_over_at=decision.wave_over_at)
        if decision.wave != job.wave:
            return replace(job, wave=decision.wave), True, 0
        return self._start_some(connection, kind, (job, memory), decision, at)

    @staticmethod
    def _times(connection: Connection, job: Job, memory: _Memory, at: int) -> Facts:
        """What the kind said, with the times of targets as they are now."""
        said = memory.facts
        if said is None:
            return Facts()
        if memory.times is None:
            memory.times = target_store.times(connection, job.id, at)
        times = memory.times
        return replace(said, later=times.later, again=times.again, next_at=times.next_at)

    def _start_some(
        self,
        connection: Connection,
        kind: JobKind,
        known: tuple[Job, _Memory],
        decision: Decision,
        at: int,
    ) -> tuple[Job, bool, int]:
        job, memory = known
        if not decision.start:
            return job, False, 0
        size = min(decision.start, self._batch)
        job, results = start_some(connection, kind, job, (size, memory.judged), at)
        if results:
            memory.times = None
        paid = sum(one.state in (TargetState.HANDED_OVER, TargetState.FAILED) for one in results)
        # Where most can be started, looking at many more of them would be useless.
        memory.judged = MOST_JUDGED if paid < size else LEAST_JUDGED
        no_room = any(
            one.state is TargetState.WAITING and one.not_before is None for one in results
        )
        job = replace(
            job,
            paced_at=spent(job.plan, decision, paid),
            due_at=at + NO_ROOM_MS if no_room else at,
        )
        following = decide(job.plan, job.progress, at, self._times(connection, job, memory, at))
        more = bool(following.start or following.event) and not no_room
        return job, more, len(results)

    def _enter(
        self, connection: Connection, job: Job, event: Event, why: str, at: int
    ) -> tuple[Job, bool, int]:
        state = follow(job.state, event)
        assert state is not None
        log.info("job %s (%s) is %s%s", job.id, job.title, state, f": {why}" if why else "")
        job = replace(job, state=state, why=why or job.why)
        if event is Event.STOP:
            add_to_counter(connection, "jobs_stopped", 1)
        if state in OVER:
            add_to_counter(connection, COUNTED[state], 1)
            return replace(job, finished_at=at, due_at=None), False, 0
        return job, True, 0

    @staticmethod
    def _put_back(connection: Connection, job: Job) -> Job:
        """Failed targets wait again."""
        job, found = target_store.put_back(connection, job)
        return job if found else replace(job, retrying=False, forgiven=0, forgiven_successes=0)

    def _prepare(self, connection: Connection, kind: JobKind, job: Job, at: int) -> Job:
        """Lists the next devices as targets."""
        found = selection.page(connection, job.selection, job.prepared_to, store.AT_ONCE)
        wanted = set(kind.chosen(connection, job.what, [one.number for one in found]))
        numbers = [one.number for one in found]
        first = kind.first(connection, job, numbers) if isinstance(kind, Steering) else None
        chosen = [
            (one, rank(job.id, one.number, first=None if first is None else one.number in first))
            for one in found
            if one.number in wanted
        ]
        most = self._settings.job_targets_max
        if job.counts.total + len(chosen) > most:
            why = f"it has more than {most:,} targets (job_targets_max)"
            return replace(job, state=State.CANCELLING, why=why)
        added = target_store.add_targets(connection, job.id, chosen)
        job = target_store.counted_with(job, {TargetState.WAITING.value: added})
        if found:
            job = replace(job, prepared_to=found[-1].number)
        if len(found) < store.AT_ONCE:
            state = follow(job.state, Event.PREPARED)
            assert state is not None
            job = replace(job, state=state, started_at=job.started_at or at)
        return job

    def _end(
        self, connection: Connection, kind: JobKind, job: Job, memory: _Memory, at: int
    ) -> tuple[Job, bool]:
        """Ends targets of a job that is cancelled or whose time is up."""
        expired = job.state is State.EXPIRING
        if job.counts.waiting:
            cause = "expired" if expired else "cancelled"
            return target_store.end_waiting(connection, job, TargetState.CANCELLED, cause, at), True
        if expired and job.counts.handed_over:
            return target_store.end_handed_over(
                connection, job, TargetState.FAILED, "no_outcome", at
            ), True
        if memory.withdrawn is None:
            if memory.sweep_at and at >= memory.sweep_at:
                self._sweep(connection, kind, job, memory, at)
            return job, False
        some = target_store.handed_over(connection, job.id, memory.withdrawn, self._batch)
        kind.withdraw(connection, [one.reference for one in some if one.reference])
        memory.withdrawn = some[-1].rank if some else None
        return job, True

    def _sweep(
        self, connection: Connection, kind: JobKind, job: Job, memory: _Memory, at: int
    ) -> None:
        """Looks for outcomes that nobody has reported: of removed devices, of records that were
        deleted."""
        memory.sweep_at = at + SWEEP_MS
        removed = target_store.removed(connection, job.id)
        if removed:
            target_store.set_removed(connection, job.id, removed, at)
        some = target_store.handed_over(connection, job.id, memory.sweep_after, store.AT_ONCE)
        memory.sweep_after = some[-1].rank if len(some) == store.AT_ONCE else -1
        asked = [(one.reference, one.mark) for one in some if one.reference]
        verdicts = kind.verdicts(connection, asked)
        found = []
        for reference, mark in asked:
            verdict = verdicts.get(reference)
            if verdict is None:
                lost = "What was started for the device is gone."
                found.append(Outcome(reference, TargetState.FAILED, "lost", lost, mark))
            elif verdict.state is not None:
                found.append(Outcome(reference, verdict.state, verdict.cause, verdict.words, mark))
        outcomes.note(connection, found)

    # ------------------------------------------------------------------ occasionally

    def _tidy(self) -> None:
        """Deletes finished jobs that are not kept any more, in short transactions."""
        with self._database.read() as connection:
            at = deletion_time(connection)
            before = 0 if at is None else at - self._settings.records_days * DAY_MS
            kept = self._settings.jobs_kept_per_tenant
            found = store.forget_finished(connection, kept, before)
        for number in found:
            with self.faults.isolated(number):
                gone = False
                while not gone:
                    with self._database.write(news=False) as connection:
                        gone = store.delete_some(connection, number)
                    time.sleep(BREAK_SECONDS)


async def _let_others_write() -> None:
    await asyncio.sleep(BREAK_SECONDS)
