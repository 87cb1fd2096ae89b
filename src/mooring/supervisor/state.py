"""The life of a worker, as values. Pure: times come in, states go out.

A worker that fails waits, longer each time, and runs again. Only ``stop`` ends it. A run that
lasts for ``Policy.steady`` seconds counts as healthy, so the next failure waits briefly again.

    IDLE ──begin──▶ RUNNING ──fail──▶ WAITING ──begin──▶ RUNNING
                       │ end: WAITING, or ENDED where that is the policy
    any ──stop──▶ STOPPED ──begin──▶ RUNNING
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = [
    "DEFAULT",
    "TRANSITIONS",
    "Event",
    "Phase",
    "Policy",
    "Restart",
    "State",
    "advance",
    "backoff",
]

ERROR_CHARACTERS = 300


class Phase(StrEnum):
    """Where in its life a worker is."""

    IDLE = "idle"
    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "done"
    STOPPED = "stopped"


class Event(StrEnum):
    """What happens to a worker."""

    BEGIN = "begin"
    FAIL = "fail"
    END = "end"
    STOP = "stop"


class Restart(StrEnum):
    """Whether a worker that returns is started again. One that fails always is."""

    ALWAYS = "always"
    ON_FAILURE = "on failure"


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.IDLE, Event.BEGIN): Phase.RUNNING,
    (Phase.WAITING, Event.BEGIN): Phase.RUNNING,
    (Phase.STOPPED, Event.BEGIN): Phase.RUNNING,
    (Phase.RUNNING, Event.FAIL): Phase.WAITING,
    (Phase.RUNNING, Event.END): Phase.WAITING,  # ENDED with Restart.ON_FAILURE
    **{(phase, Event.STOP): Phase.STOPPED for phase in Phase},
}
"""Every transition there is; any other event in a phase is a fault of the caller."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a worker is restarted; times in seconds.

    Attributes:
        first, most: the wait after the first failure in a row, and the longest one.
        steady: a run this long ends a row of failures.
    """

    restart: Restart = Restart.ALWAYS
    first: float = 0.25
    most: float = 60.0
    steady: float = 60.0


DEFAULT = Policy()


@dataclass(frozen=True, slots=True)
class State:
    """One worker now.

    Attributes:
        since: when the phase began, seconds of a clock that never goes back.
        until: when a waiting worker runs again, on the same clock.
        failures: since the process started.
        streak: failures in a row.
        error: what the last failure said; kept until the process ends.
    """

    phase: Phase = Phase.IDLE
    since: float = 0.0
    until: float = 0.0
    failures: int = 0
    streak: int = 0
    error: str = ""


def backoff(streak: int, policy: Policy) -> float:
    """Seconds to wait after this many failures in a row: doubling from ``first`` to ``most``."""
    return min(policy.most, policy.first * float(1 << min(max(streak - 1, 0), 32)))


def advance(state: State, event: Event, now: float, policy: Policy, error: str = "") -> State:
    """The state after an event.

    Args:
        error: what a failure says.

    Raises:
        ValueError: the event cannot happen in that phase.
    """
    phase = TRANSITIONS.get((state.phase, event))
    if phase is None:
        raise ValueError(f"A worker that is {state.phase} cannot {event}.")
    changed = replace(state, phase=phase, since=now, until=now)
    if event is Event.FAIL:
        streak = 1 if now - state.since >= policy.steady else state.streak + 1
        return replace(
            changed,
            failures=state.failures + 1,
            streak=streak,
            until=now + backoff(streak, policy),
            error=error[:ERROR_CHARACTERS],
        )
    if event is Event.END:
        if policy.restart is Restart.ON_FAILURE:
            return replace(changed, phase=Phase.ENDED, streak=0)
        return replace(changed, streak=0, until=now + policy.first)
    return changed
