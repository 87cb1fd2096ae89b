"""The life of a job and of each of its targets, and what is done next. Pure.

``JOB_TABLE`` and ``TARGET_TABLE`` hold all transitions: every other pair of state and event
changes nothing. docs/explanation/jobs.md shows both.

Failure invariant: a target counts in exactly one state, and the counts of a job add up to the
number of its targets, whatever happens in whichever order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from mooring.jobs.gates import Gate, Look, boundary, verdict
from mooring.jobs.pace import interval, paced

__all__ = [
    "JOB_TABLE",
    "OPEN",
    "OVER",
    "TARGET_OVER",
    "TARGET_TABLE",
    "Counts",
    "Decision",
    "Event",
    "Facts",
    "Plan",
    "Progress",
    "State",
    "TargetEvent",
    "TargetState",
    "decide",
    "follow",
    "follow_target",
    "interval",
    "look",
    "rank",
    "spent",
]

SHARE_FAILURES_MIN = 3
"""A share of failures stops a job only from this many failures on."""


class State(StrEnum):
    """Where a job is."""

    PREPARING = "preparing"  # its targets are being listed
    RUNNING = "running"
    PAUSED = "paused"  # by a person; nothing is started, what was started runs on
    STOPPED = "stopped"  # likewise, because too many targets failed
    CANCELLING = "cancelling"  # by a person; what was started and cannot be withdrawn runs on
    EXPIRING = "expiring"  # its time is up; targets without an outcome are failed
    DONE = "done"  # every target is over
    CANCELLED = "cancelled"
    EXPIRED = "expired"


OVER = frozenset({State.DONE, State.CANCELLED, State.EXPIRED})
OPEN = frozenset(State) - OVER


class Event(StrEnum):
    """What happens to a job."""

    PREPARED = "all targets are listed"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    CANCEL = "cancel"
    ADD = "add later devices"
    STOP = "too many failures"
    TIME = "its time is up"
    FINISHED = "every target is over"


JOB_TABLE: dict[tuple[State, Event], State] = {
    (State.PREPARING, Event.PREPARED): State.RUNNING,
    (State.PREPARING, Event.CANCEL): State.CANCELLING,
    (State.PREPARING, Event.TIME): State.EXPIRING,
    (State.RUNNING, Event.PAUSE): State.PAUSED,
    (State.RUNNING, Event.STOP): State.STOPPED,
    (State.RUNNING, Event.CANCEL): State.CANCELLING,
    (State.RUNNING, Event.RETRY): State.RUNNING,
    (State.RUNNING, Event.ADD): State.PREPARING,
    (State.RUNNING, Event.TIME): State.EXPIRING,
    (State.RUNNING, Event.FINISHED): State.DONE,
    (State.PAUSED, Event.RESUME): State.RUNNING,
    (State.PAUSED, Event.CANCEL): State.CANCELLING,
    (State.PAUSED, Event.TIME): State.EXPIRING,
    (State.PAUSED, Event.FINISHED): State.DONE,
    (State.STOPPED, Event.RESUME): State.RUNNING,
    (State.STOPPED, Event.RETRY): State.RUNNING,
    (State.STOPPED, Event.CANCEL): State.CANCELLING,
    (State.STOPPED, Event.TIME): State.EXPIRING,
    (State.STOPPED, Event.FINISHED): State.DONE,
    (State.CANCELLING, Event.TIME): State.EXPIRING,
    (State.CANCELLING, Event.FINISHED): State.CANCELLED,
    (State.EXPIRING, Event.FINISHED): State.EXPIRED,
    (State.DONE, Event.RETRY): State.RUNNING,
    (State.DONE, Event.ADD): State.PREPARING,
    (State.EXPIRED, Event.RETRY): State.RUNNING,
}
"""A cancelled job stays cancelled."""


def follow(state: State, event: Event) -> State | None:
    """The state after an event; ``None``: nothing changes."""
    return JOB_TABLE.get((state, event))


class TargetState(StrEnum):
    """Where one device of a job is."""

    WAITING = "waiting"
    HANDED_OVER = "handed_over"  # its command, rotation or settings exist, without an outcome
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"  # it cannot be done for this device, which does not count as a failure
    CANCELLED = "cancelled"


TARGET_OVER = frozenset(TargetState) - {TargetState.WAITING, TargetState.HANDED_OVER}


class TargetEvent(StrEnum):
    """What happens to a target."""

    START = "handed over"
    SUCCEED = "succeeded"
    FAIL = "failed"
    SKIP = "cannot be done"
    CANCEL = "cancelled"
    RETRY = "retry"


_W, _H, _F = TargetState.WAITING, TargetState.HANDED_OVER, TargetState.FAILED
_S = TargetState.SKIPPED

TARGET_TABLE: dict[tuple[TargetState, TargetEvent], TargetState] = {
    (_W, TargetEvent.START): TargetState.HANDED_OVER,
    (_W, TargetEvent.SUCCEED): TargetState.SUCCEEDED,
    (_W, TargetEvent.FAIL): TargetState.FAILED,
    (_W, TargetEvent.SKIP): TargetState.SKIPPED,
    (_W, TargetEvent.CANCEL): TargetState.CANCELLED,
    (_H, TargetEvent.SUCCEED): TargetState.SUCCEEDED,
    (_H, TargetEvent.FAIL): TargetState.FAILED,
    (_H, TargetEvent.SKIP): TargetState.SKIPPED,
    (_H, TargetEvent.CANCEL): TargetState.CANCELLED,
    (_F, TargetEvent.SUCCEED): TargetState.SUCCEEDED,
    (_F, TargetEvent.RETRY): TargetState.WAITING,
    (_S, TargetEvent.START): TargetState.HANDED_OVER,
}
"""A failed target succeeds when its device answers after the time-out. A skipped one is started
where its kind judges it again and what was in the way is gone."""


def follow_target(state: TargetState, event: TargetEvent) -> TargetState | None:
    """The state after an event; ``None``: nothing changes."""
    return TARGET_TABLE.get((state, event))


def rank(job: int, device: int, *, first: bool | None = None) -> int:
    """The place of a device in a job: the same always, and another order in each job.

    Waves are cut from this order, so the first one is a fair sample.

    Args:
        first: whether it comes before all others; ``None``: no device does.
    """
    digest = hashlib.sha256(f"{job}:{device}".encode()).digest()
    found = int.from_bytes(digest[:8], "big") >> 1  # 63 bits: both engines have signed numbers
    return found if first is None else (found >> 1) + (0 if first else 1 << 62)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a job continues; a person may change it at any time.

    Attributes:
        pace: targets started in a second; ``None``: as fast as possible.
        at_once: targets without an outcome at most; ``None``: any number.
        stop_after: failures that stop it; ``None``: any number.
        stop_share: the share of failures among outcomes that stops it, more than 0 to 1.
        waves: shares of the targets in percent, rising, the last one 100.
        gate_share: the share of successes that the outcomes of a wave need for the next one.
        gate_done: the share of started targets that need an outcome for the next wave; targets
            that cannot be started now are not part of the wave. ``None``: every target of the
            wave needs one.
        soak_ms: how long a wave is watched after its last outcome, or with ``gate_done`` after
            enough of them.
    """

    pace: float | None = 100.0
    at_once: int | None = None
    stop_after: int | None = None
    stop_share: float | None = None
    waves: tuple[float, ...] = (100.0,)
    gate_share: float = 0.95
    soak_ms: int = 0
    gate_done: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Targets by state."""

    waiting: int = 0
    handed_over: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return (
            self.waiting
            + self.handed_over
            + self.succeeded
            + self.failed
            + self.skipped
            + self.cancelled
        )

    @property
    def over(self) -> int:
        return self.total - self.waiting - self.handed_over


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a job now. Times are epoch milliseconds.

    Attributes:
        wave: the open one, from 0.
        wave_over_at: when the last outcome of the open wave was seen.
        paced_at: until when starts are paid for, epoch microseconds.
        forgiven: failures before a person resumed it; they do not stop it again.
        forgiven_successes: successes at that moment.
        retrying: failed targets are being put back.
    """

    state: State
    counts: Counts
    expires_at: int
    wave: int = 0
    wave_over_at: int | None = None
    paced_at: int = 0
    forgiven: int = 0
    forgiven_successes: int = 0
    retrying: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a kind, and the times of targets, add to the counts. Times are epoch milliseconds.

    Attributes:
        later: waiting targets that cannot be started before a time.
        again: skipped targets that are judged again now.
        next_at: when the first of either changes.
        busy: started targets in the middle of something; no wave opens meanwhile.
        absent: started targets whose devices are not connected and have not begun; they do not
            count for ``at_once``.
        held: why nothing may be started, in words.
        look_at: when the kind wants to be asked again.
        pace: targets started in a second at most, besides the plan's; ``None``: any number.
    """

    later: int = 0
    again: int = 0
    next_at: int | None = None
    busy: int = 0
    absent: int = 0
    held: str = ""
    look_at: int | None = None
    pace: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done now.

    Attributes:
        event: what happens to the job; ``None``: nothing.
        why: the reason in words, with ``Event.STOP``.
        start: how many targets may be started.
        wave, wave_over_at, paced_at: as in ``Progress``, from now on; ``paced_at`` before any
            start.
        due_at: when time alone makes this be asked again, epoch milliseconds.
        pace: at which targets are started; ``None``: as fast as possible.
    """

    event: Event | None = None
    why: str = ""
    start: int = 0
    wave: int = 0
    wave_over_at: int | None = None
    paced_at: int = 0
    due_at: int | None = None
    pace: float | None = None


_NOTHING = Facts()


def decide(plan: Plan, now: Progress, at: int, facts: Facts = _NOTHING) -> Decision:
    """The next step of a job.

    Args:
        at: epoch milliseconds.
    """
    same = Decision(
        wave=now.wave,
        wave_over_at=now.wave_over_at,
        paced_at=now.paced_at,
        due_at=now.expires_at if now.state is not State.EXPIRING else None,
    )
    if now.state in OVER:
        return same
    if now.state is not State.EXPIRING and at >= now.expires_at:
        return replace(same, event=Event.TIME)
    if now.retrying or now.state is State.PREPARING:
        return same  # the counts are not those of all targets
    if not now.counts.waiting and not now.counts.handed_over:
        return replace(same, event=Event.FINISHED)
    return _run(plan, now, at, same, facts) if now.state is State.RUNNING else same


def _run(plan: Plan, now: Progress, at: int, same: Decision, facts: Facts) -> Decision:
    times = (same.due_at, facts.next_at, facts.look_at)
    same = replace(same, due_at=min(one for one in times if one is not None))
    why = _too_many(plan, now)
    if why:
        return replace(same, event=Event.STOP, why=why)
    return same if facts.held else _next_starts(plan, now, at, same, facts)


def _too_many(plan: Plan, now: Progress) -> str:
    failures = max(0, now.counts.failed - now.forgiven)
    outcomes = failures + max(0, now.counts.succeeded - now.forgiven_successes)
    if plan.stop_after is not None and failures >= plan.stop_after:
        return f"{failures} targets failed; the limit is {plan.stop_after}"
    share = plan.stop_share
    if share is not None and failures >= SHARE_FAILURES_MIN and failures >= share * outcomes:
        return f"{failures} of {outcomes} outcomes are failures; the limit is {share:.0%}"
    return ""


def _next_starts(plan: Plan, now: Progress, at: int, same: Decision, facts: Facts) -> Decision:
    wave = min(now.wave, len(plan.waves) - 1)
    seen = look(plan, now, facts)
    if wave < len(plan.waves) - 1:
        gate = verdict(plan.gate_done, plan.gate_share, seen)
        if gate is Gate.MISSED:
            return replace(same, event=Event.STOP, why=_below_gate(plan, now, seen))
        if gate in (Gate.OPEN, Gate.BUSY):
            return _soaked(plan, now, at, replace(same, wave=wave), gate)
    counts = now.counts
    # A skipped target that is started after all belongs to the last wave from then on.
    room = seen.room + (facts.again if wave == len(plan.waves) - 1 else 0)
    if plan.at_once is not None:
        room = min(room, plan.at_once - (counts.handed_over - facts.absent))
    room = min(room, counts.waiting - facts.later + facts.again)
    if room <= 0:
        return replace(same, wave=wave, wave_over_at=None)
    pace = min((one for one in (plan.pace, facts.pace) if one is not None), default=None)
    paid, paced_at, due = paced(pace, now.paced_at, at)
    start = room if paid is None else min(room, paid)
    due = at if paid is None or start < paid else due
    return replace(
        same,
        start=start,
        wave=wave,
        wave_over_at=None,
        paced_at=paced_at,
        due_at=due if same.due_at is None else min(same.due_at, due),
        pace=pace,
    )


def _soaked(plan: Plan, now: Progress, at: int, same: Decision, gate: Gate) -> Decision:
    """The gate is open; a device in the middle of something holds the wave only at the end."""
    over_at = now.wave_over_at
    if over_at is None or over_at > at:  # the clock may have been set back
        over_at = at
    end = over_at + plan.soak_ms
    if at < end:
        due = end if same.due_at is None else min(same.due_at, end)
        return replace(same, wave_over_at=over_at, due_at=due)
    if gate is Gate.BUSY:
        return replace(same, wave_over_at=over_at)
    return replace(same, wave=same.wave + 1, wave_over_at=None, due_at=at)


def look(plan: Plan, now: Progress, facts: Facts = _NOTHING) -> Look:
    """The open wave, for its gate.

    With ``gate_done`` skipped and cancelled targets belong to no wave: the sample of each has its
    full size.
    """
    counts, wave = now.counts, min(now.wave, len(plan.waves) - 1)
    outside = 0 if plan.gate_done is None else counts.skipped + counts.cancelled
    most = boundary(plan.waves[wave], wave, counts.total - outside)
    return Look(
        room=most - (counts.total - counts.waiting - outside),
        startable=counts.waiting - facts.later,
        open=counts.handed_over,
        successes=max(0, counts.succeeded - now.forgiven_successes),
        failures=max(0, counts.failed - now.forgiven),
        over=counts.succeeded + counts.failed,
        busy=facts.busy,
    )


def _below_gate(plan: Plan, now: Progress, seen: Look) -> str:
    return (
        f"{seen.successes} of {seen.successes + seen.failures} outcomes of wave {now.wave + 1} are "
        f"successes; the next one needs {plan.gate_share:.0%}"
    )


def spent(plan: Plan, decision: Decision, started: int) -> int:
    """``paced_at`` after this number of starts."""
    pace = plan.pace if decision.pace is None else decision.pace
    return decision.paced_at + (started * interval(pace) if pace is not None else 0)
