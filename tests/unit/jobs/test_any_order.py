"""A job under any interleaving of outcomes, kills, clock steps, removed devices and people.

The model holds rows as the database does: ``row`` is what was committed, and a turn works on a
copy that a kill throws away.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mooring.jobs.gates import needed
from mooring.jobs.rules import (
    OVER,
    Counts,
    Event,
    Facts,
    Plan,
    Progress,
    State,
    TargetEvent,
    TargetState,
    decide,
    follow,
    follow_target,
    look,
    rank,
    spent,
)

T0 = 1_771_000_000_000
HOUR = 3_600_000
BATCH = 3


@dataclass
class Row:
    """One target: what it is, in which state it is counted, and how often it was started.

    ``later``: it cannot be started yet; ``busy``, ``absent``: as in ``Facts``.
    """

    state: TargetState = TargetState.WAITING
    counted: TargetState = TargetState.WAITING
    started: int = 0
    tries: int = 1
    gone: bool = False
    later: bool = False
    busy: bool = False
    absent: bool = False


class JobMachine(RuleBasedStateMachine):
    """One job and what happens to it."""

    @initialize(
        devices=st.integers(0, 25),
        pace=st.sampled_from([None, 1.0, 50.0]),
        at_once=st.sampled_from([None, 1, 4]),
        stop_after=st.sampled_from([None, 1, 3]),
        share=st.sampled_from([None, 0.2]),
        waves=st.sampled_from([(100.0,), (1.0, 10.0, 100.0), (50.0, 100.0)]),
        soak=st.sampled_from([0, 60_000]),
        gate_done=st.sampled_from([None, 0.5]),
    )
    def begin(  # one argument for each dimension of a plan
        self,
        *,
        devices: int,
        pace: float | None,
        at_once: int | None,
        stop_after: int | None,
        share: float | None,
        waves: tuple[float, ...],
        soak: int,
        gate_done: float | None,
    ) -> None:
        self.plan = Plan(pace, at_once, stop_after, share, waves, 0.9, soak, gate_done)
        self.rows = {n: Row() for n in sorted(range(devices), key=lambda n: rank(1, n))}
        self.at = T0
        self.now = Progress(State.RUNNING, Counts(waiting=devices), T0 + 24 * HOUR)
        self.open_wave = 0

    # ------------------------------------------------------------------ what the worker does

    @rule(killed=st.booleans())
    def turn(self, killed: bool) -> None:
        rows = {number: replace(row) for number, row in self.rows.items()}
        now = self._turn(rows)
        if not killed:
            self.rows, self.now = rows, now

    def _turn(self, rows: dict[int, Row]) -> Progress:
        for row in rows.values():
            row.counted = row.state
        now = replace(self.now, counts=counted(rows))
        if now.state in OVER:
            return now
        facts = facts_of(rows)
        decision = decide(self.plan, now, self.at, facts)
        if decision.event is not None:
            state = follow(now.state, decision.event)
            assert state is not None
            return replace(now, state=state)
        if now.retrying:
            for row in rows.values():
                if row.state is TargetState.FAILED:
                    move(row, TargetEvent.RETRY)
                    row.tries += 1
            now = replace(now, retrying=False, forgiven=0, forgiven_successes=0)
            return replace(now, counts=counted(rows))
        if now.state in (State.CANCELLING, State.EXPIRING):
            self._end(rows, expired=now.state is State.EXPIRING)
            return replace(now, counts=counted(rows))
        if decision.wave > now.wave:
            self._check_gate(now, facts)
        waiting = [
            row for row in rows.values() if row.state is TargetState.WAITING and not row.later
        ]
        some = waiting[: min(decision.start, BATCH)]
        for row in some:
            move(row, TargetEvent.SKIP if row.gone else TargetEvent.START)
            row.started += not row.gone
            row.busy = row.absent = False
        if some and self.plan.at_once is not None:
            there = facts_of(rows).absent
            assert counted(rows).handed_over - there <= self.plan.at_once
        return replace(
            now,
            counts=counted(rows),
            wave=decision.wave,
            wave_over_at=decision.wave_over_at,
            paced_at=spent(self.plan, decision, len(some)),
        )

    def _check_gate(self, now: Progress, facts: Facts) -> None:
        seen = look(self.plan, now, facts)
        if self.plan.gate_done is None:
            assert not now.counts.handed_over, "a wave opened before its gate"
        else:
            assert seen.over >= needed(self.plan.gate_done, seen), "a wave opened before its gate"
        assert not facts.busy, "a wave opened while a device was in the middle of something"
        assert seen.successes >= 0.9 * (seen.successes + seen.failures) or not seen.failures

    @staticmethod
    def _end(rows: dict[int, Row], *, expired: bool) -> None:
        for row in rows.values():
            if row.state is TargetState.WAITING:
                move(row, TargetEvent.CANCEL)
            elif row.state is TargetState.HANDED_OVER and expired:
                move(row, TargetEvent.FAIL)

    # ------------------------------------------------------------------ what devices do

    @rule(
        which=st.integers(0, 24),
        event=st.sampled_from([TargetEvent.SUCCEED, TargetEvent.FAIL, TargetEvent.SUCCEED]),
    )
    def outcome(self, which: int, event: TargetEvent) -> None:
        row = self.rows.get(which)
        if row is not None and row.state in (TargetState.HANDED_OVER, TargetState.FAILED):
            after = follow_target(row.state, event)
            row.state = after or row.state

    @rule(which=st.integers(0, 24))
    def removed(self, which: int) -> None:
        row = self.rows.get(which)
        if row is not None:
            row.gone = True
            if row.state is TargetState.HANDED_OVER:
                move(row, TargetEvent.SKIP, counted=False)

    @rule(which=st.integers(0, 24), later=st.booleans())
    def waits(self, which: int, later: bool) -> None:
        if which in self.rows:
            self.rows[which].later = later

    @rule(which=st.integers(0, 24), busy=st.booleans(), absent=st.booleans())
    def begins(self, which: int, busy: bool, absent: bool) -> None:
        row = self.rows.get(which)
        if row is not None and row.state is TargetState.HANDED_OVER:
            row.busy, row.absent = busy, absent and not busy

    # ------------------------------------------------------------------ what people do

    @rule(
        event=st.sampled_from(
            [Event.PAUSE, Event.RESUME, Event.RESUME, Event.RETRY, Event.RETRY, Event.CANCEL]
        )
    )
    def person(self, event: Event) -> None:
        state = follow(self.now.state, event)
        counts = self.now.counts
        if state is None or (event is Event.RETRY and not counts.failed):
            return
        self.now = replace(self.now, state=state)
        if event is Event.RESUME:
            self.now = replace(
                self.now, forgiven=counts.failed, forgiven_successes=counts.succeeded
            )
        if event is Event.RETRY:
            self.now = replace(self.now, retrying=True, expires_at=self.at + 24 * HOUR)

    @rule(pace=st.sampled_from([None, 0.5, 10.0]), at_once=st.sampled_from([None, 2]))
    def other_pace(self, pace: float | None, at_once: int | None) -> None:
        self.plan = replace(self.plan, pace=pace, at_once=at_once)
        self.now = replace(self.now, paced_at=0)

    @rule(seconds=st.sampled_from([1, 10, 600, 7200, -3600, 90_000]))
    def clock(self, seconds: int) -> None:
        self.at += seconds * 1000

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def counts_add_up(self) -> None:
        assert self.now.counts.total == len(self.rows)
        assert min(vars_of(self.now.counts)) >= 0

    @invariant()
    def each_device_is_started_once_a_try(self) -> None:
        assert all(row.started <= row.tries for row in self.rows.values())

    @precondition(lambda self: self.plan.at_once is not None and self.plan.waves == (100.0,))
    @invariant()
    def no_more_than_allowed_were_started_together(self) -> None:
        """A cap that was lowered does not end what was started before."""
        counts = self.now.counts
        most = max(4, BATCH, self.plan.at_once or 0)
        if self.plan.at_once is not None and counts.handed_over > most:
            facts = facts_of(self.rows)
            if counts.handed_over - facts.absent > most:
                assert decide(self.plan, self.now, self.at, facts).start == 0

    def teardown(self) -> None:
        """Every job ends, whatever happened, when time alone goes on."""
        self.at = max(self.at, self.now.expires_at)
        for _ in range(8):
            self.now = self._turn(self.rows)
        assert self.now.state in OVER
        assert self.now.counts.waiting == self.now.counts.handed_over == 0


def move(row: Row, event: TargetEvent, *, counted: bool = True) -> None:
    after = follow_target(row.state, event)
    assert after is not None, (row.state, event)
    row.state = after
    if counted:
        row.counted = after


def counted(rows: dict[int, Row]) -> Counts:
    found = Counter(str(row.counted) for row in rows.values())
    return Counts(**found)


def facts_of(rows: dict[int, Row]) -> Facts:
    started = [row for row in rows.values() if row.state is TargetState.HANDED_OVER]
    return Facts(
        later=sum(row.later and row.state is TargetState.WAITING for row in rows.values()),
        busy=sum(row.busy for row in started),
        absent=sum(row.absent for row in started),
    )


def vars_of(counts: Counts) -> list[int]:
    return [getattr(counts, name) for name in Counts.__dataclass_fields__]


TestJobMachine = JobMachine.TestCase
TestJobMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
