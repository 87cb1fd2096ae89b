"""A rollout and the updates of its devices together, under any interleaving of reports, downloads,
connections, versions, kills, clock steps and people.

The rules of jobs and of updates are the real ones. The model holds rows as the database does: a
turn of the worker works on copies, which a kill throws away; an outcome is counted at a later turn
than the one that wrote it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
from mooring.ota.rollouts.model import PLAN
from mooring.ota.updates import rules
from mooring.ota.updates.model import INSTALL_BEGUN, NOT_BEGUN, Kind, Seen, Update
from mooring.ota.updates.model import State as UpdateState
from mooring.ota.updates.of_jobs import outcome_of
from mooring.ota.updates.rules import Event as UpdateEvent
from mooring.ota.updates.rules import Present, Said
from mooring.ota.updates.waits import Waits, deadline

T0 = 1_771_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WAITS = Waits()
MOST = 12  # devices
END_STEPS = 3_000  # deadlines, one after the other, of devices that say nothing

EVENTS = {
    TargetState.SUCCEEDED: TargetEvent.SUCCEED,
    TargetState.FAILED: TargetEvent.FAIL,
    TargetState.SKIPPED: TargetEvent.SKIP,
    TargetState.CANCELLED: TargetEvent.CANCEL,
}
REPORTS = (
    *(UpdateEvent.DOWNLOADING, UpdateEvent.INSTALLING, UpdateEvent.REBOOTING),
    *(UpdateEvent.INSTALLED, UpdateEvent.DEFERRED, UpdateEvent.FAILED, UpdateEvent.REJECTED),
)
which = st.integers(0, MOST - 1)


@dataclass
class Slot:
    """One device of the rollout.

    Attributes:
        counted: the state that the job has counted it in.
        updates: how many it was given; tries: how many it may have been.
    """

    state: TargetState = TargetState.WAITING
    counted: TargetState = TargetState.WAITING
    update: Update | None = None
    updates: int = 0
    tries: int = 1
    linked: bool | None = True

    @property
    def open(self) -> Update | None:
        return None if self.update is None or self.update.over else self.update


class RolloutMachine(RuleBasedStateMachine):
    """One rollout and what happens to it."""

    @initialize(
        devices=st.integers(0, MOST),
        waves=st.sampled_from([(100.0,), (1.0, 10.0, 100.0), (50.0, 100.0)]),
        at_once=st.sampled_from([1, 3]),
        soak=st.sampled_from([0, 10 * MINUTE]),
        stop_share=st.sampled_from([None, 0.05]),
    )
    def begin(
        self,
        *,
        devices: int,
        waves: tuple[float, ...],
        at_once: int,
        soak: int,
        stop_share: float | None,
    ) -> None:
        self.plan: Plan = replace(
            PLAN, waves=waves, at_once=at_once, soak_ms=soak, stop_share=stop_share
        )
        self.at = T0
        self.slots = {n: Slot() for n in sorted(range(devices), key=lambda n: rank(1, n))}
        self.now = Progress(State.RUNNING, Counts(waiting=devices), T0 + 14 * DAY)

    # ------------------------------------------------------------------ what the worker does

    @rule(killed=st.booleans())
    def turn(self, killed: bool) -> None:
        slots = {number: replace(slot) for number, slot in self.slots.items()}
        now = self._turn(slots)
        if not killed:
            self.slots, self.now = slots, now

    def _turn(self, slots: dict[int, Slot]) -> Progress:
        for slot in slots.values():
            slot.counted = slot.state
        now = replace(self.now, counts=counted(slots))
        if now.state in OVER:
            return now
        facts = facts_of(slots)
        decision = decide(self.plan, now, self.at, facts)
        if decision.event is not None:
            state = follow(now.state, decision.event)
            assert state is not None
            return replace(now, state=state)
        if now.retrying:
            for slot in slots.values():
                if slot.state is TargetState.FAILED:
                    slot.state = slot.counted = TargetState.WAITING
                    slot.tries += 1
            now = replace(now, retrying=False, forgiven=0, forgiven_successes=0)
            return replace(now, counts=counted(slots))
        if now.state in (State.CANCELLING, State.EXPIRING):
            self._end(slots, expired=now.state is State.EXPIRING)
            return replace(now, counts=counted(slots))
        if decision.wave > now.wave:
            self._check_gate(now, facts)
        free = [one for one in slots.values() if one.state is TargetState.WAITING and not one.open]
        some = free[: decision.start]
        for slot in some:
            slot.state = slot.counted = TargetState.HANDED_OVER
            slot.update = self._update(slot)
            slot.updates += 1
        if some:
            waits = facts_of(slots).absent
            assert counted(slots).handed_over - waits <= (self.plan.at_once or 0), "above the cap"
        return replace(
            now,
            counts=counted(slots),
            wave=decision.wave,
            wave_over_at=decision.wave_over_at,
            paced_at=spent(self.plan, decision, len(some)),
        )

    def _check_gate(self, now: Progress, facts: Facts) -> None:
        seen = look(self.plan, now, facts)
        assert seen.over >= needed(self.plan.gate_done or 0.0, seen), (
            "a wave opened before its gate"
        )
        assert not facts.busy, "a wave opened while a device was installing"
        successes, failures = seen.successes, seen.failures
        assert successes >= self.plan.gate_share * (successes + failures)

    def _end(self, slots: dict[int, Slot], *, expired: bool) -> None:
        for slot in slots.values():
            if slot.state is TargetState.WAITING:
                slot.state = slot.counted = TargetState.CANCELLED
            elif slot.state is TargetState.HANDED_OVER and expired:
                slot.state = slot.counted = TargetState.FAILED
            elif slot.open is not None and slot.open.state in NOT_BEGUN:
                self.becomes(slot, rules.advance(slot.open, UpdateEvent.CANCEL, self.at, WAITS))

    def _update(self, slot: Slot) -> Update:
        made = Update(
            id=1,
            tenant="home",
            device_id=1,
            device="trap",
            release_id=3,
            artifact_id=4,
            kind=Kind.FIRMWARE,
            version="1.5.0",
            from_version="1.4.0",
            size=1000,
            created_at=self.at,
            expires_at=self.at + WAITS.offer,
            state=UpdateState.WAITING,
            state_at=self.at,
            due_at=None,
            offer_at=self.at,
            downlink_id=1,
            linked=slot.linked,
            linked_at=None if slot.linked is None else self.at - HOUR,
        )
        return replace(made, due_at=deadline(made, WAITS))

    # ------------------------------------------------------------------ what devices do

    def becomes(self, slot: Slot, after: Update | None) -> None:
        """One transaction: the update, and its outcome for the job."""
        if after is None or slot.update is None:
            return
        before, slot.update = slot.update, after
        if after.over and after.state is not before.state:
            state = outcome_of(after).state
            if after.state is UpdateState.UNPROVED:
                state = TargetState.SKIPPED  # it is evidence for nothing
            slot.state = follow_target(slot.state, EVENTS[state]) or slot.state

    def slot(self, number: int) -> tuple[Slot, Update] | None:
        slot = self.slots.get(number)
        return None if slot is None or slot.update is None else (slot, slot.update)

    @rule(number=which)
    def taken(self, number: int) -> None:
        found = self.slot(number)
        if found is not None:
            self.becomes(found[0], rules.taken(found[1], self.at, WAITS))

    @rule(number=which, event=st.sampled_from(REPORTS))
    def reports(self, number: int, event: UpdateEvent) -> None:
        found = self.slot(number)
        if found is not None:
            said = Said(event, words="words", later_ms=HOUR)
            self.becomes(found[0], rules.report(found[1], said, self.at, WAITS))

    @rule(number=which, to=st.sampled_from([400, 1000]))
    def downloads(self, number: int, to: int) -> None:
        found = self.slot(number)
        if found is not None:
            after = rules.served(found[1], to, self.at, WAITS, whole=to == 1000)
            self.becomes(found[0], after)

    @rule(number=which, connected=st.booleans())
    def connects(self, number: int, connected: bool) -> None:
        slot = self.slots.get(number)
        if slot is None:
            return
        slot.linked = connected
        if slot.update is not None:
            self.becomes(slot, rules.linked(slot.update, self.at, WAITS, connected=connected))

    @rule(number=which, seen=st.sampled_from([Seen.NEW, Seen.NEW, Seen.OLD]))
    def names(self, number: int, seen: Seen) -> None:
        found = self.slot(number)
        if found is not None:
            self.becomes(found[0], rules.named(found[1], seen, self.at, self.at, WAITS))

    @rule(number=which)
    def removed(self, number: int) -> None:
        found = self.slot(number)
        if found is not None:
            after = rules.advance(found[1], UpdateEvent.REMOVE, self.at, WAITS)
            self.becomes(found[0], after)

    @rule(number=which)
    def a_newer_rollout_takes_it(self, number: int) -> None:
        found = self.slot(number)
        if found is not None:
            after = rules.advance(found[1], UpdateEvent.SUPERSEDE, self.at, WAITS)
            self.becomes(found[0], after)

    # ------------------------------------------------------------------ time and people

    @rule(span=st.sampled_from([1_000, MINUTE, 6 * MINUTE, HOUR, DAY, -HOUR, -DAY]))
    def time_passes(self, span: int) -> None:
        self.at = max(T0 - DAY, self.at + span)
        self._due(Present(self.at))

    def _due(self, present: Present) -> None:
        for slot in self.slots.values():
            row = slot.update
            if row is None or row.due_at is None or row.due_at > self.at:
                continue
            self.becomes(slot, rules.time(row, self.at, WAITS, present))
            row = slot.update
            if row.state is UpdateState.WAITING and row.downlink_id is None:
                offered = replace(row, downlink_id=row.offers + 2, offer_at=self.at)
                slot.update = replace(offered, due_at=deadline(offered, WAITS))

    @rule(event=st.sampled_from([Event.PAUSE, Event.RESUME, Event.RESUME, Event.RETRY]))
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
            self.now = replace(self.now, retrying=True, expires_at=self.at + 14 * DAY)

    @rule(at_once=st.sampled_from([1, 2, 5]))
    def another_cap(self, at_once: int) -> None:
        self.plan = replace(self.plan, at_once=at_once)

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def counts_add_up(self) -> None:
        if not hasattr(self, "now"):
            return
        counts = self.now.counts
        assert counts.total == len(self.slots)
        assert min(getattr(counts, name) for name in Counts.__dataclass_fields__) >= 0

    @invariant()
    def nobody_is_given_two_updates_of_one_try(self) -> None:
        if not hasattr(self, "now"):
            return
        for slot in self.slots.values():
            assert slot.updates <= slot.tries
            if slot.state is TargetState.WAITING:
                assert slot.updates < slot.tries
            if slot.state is TargetState.HANDED_OVER:
                assert slot.open is not None, "a device without an update waits for its outcome"

    def teardown(self) -> None:
        """Devices that say nothing more: every update ends, and so does the rollout."""
        if not hasattr(self, "now"):
            return
        if self.now.state in (State.PAUSED, State.STOPPED):
            self.now = replace(self.now, state=State.RUNNING, forgiven=MOST)
        for _ in range(END_STEPS):
            self.now = self._turn(self.slots)
            updates = [one.update for one in self.slots.values() if one.update is not None]
            times = [one.due_at for one in updates if one.due_at is not None]
            if self.now.state in OVER and not times:
                break
            if self.now.state not in OVER:  # nobody looks at one that is over
                decision = decide(self.plan, self.now, self.at, facts_of(self.slots))
                due = [] if decision.due_at is None else [decision.due_at]
                times = [*times, self.now.expires_at, *due]
            self.at = max(self.at + 1, min(times, default=self.at))
            self._due(Present(None, critical=True))
            for slot in self.slots.values():
                if slot.update is not None and slot.update.state is UpdateState.WAITING:
                    self.becomes(slot, rules.taken(slot.update, self.at, WAITS))
        assert self.now.state in OVER
        assert self.now.counts.waiting == self.now.counts.handed_over == 0
        assert all(slot.open is None for slot in self.slots.values())


def counted(slots: dict[int, Slot]) -> Counts:
    return Counts(**Counter(str(slot.counted) for slot in slots.values()))


def facts_of(slots: dict[int, Slot]) -> Facts:
    """As ``mooring.ota.rollouts.store.in_between`` reads them."""
    some = [slot.open for slot in slots.values() if slot.open is not None]
    return Facts(
        later=sum(s.state is TargetState.WAITING and s.open is not None for s in slots.values()),
        busy=sum(one.state in INSTALL_BEGUN for one in some),
        absent=sum(
            one.state in NOT_BEGUN
            and (one.linked is False or (one.linked is None and one.state is UpdateState.WAITING))
            for one in some
        ),
    )


RolloutMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestRollout = RolloutMachine.TestCase
