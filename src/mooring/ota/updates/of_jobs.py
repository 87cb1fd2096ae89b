"""What the end of an update means for the job that made it. Pure."""

from __future__ import annotations

from mooring.jobs.model import Outcome
from mooring.jobs.rules import TargetState
from mooring.ota.updates.model import State, Update

__all__ = ["PREFIX", "number_of", "outcome_of", "reference_of", "target_state"]

PREFIX = "firmware:"

_STATES = {
    State.CONFIRMED: TargetState.SUCCEEDED,
    State.UNPROVED: TargetState.SUCCEEDED,  # nothing could show more; the cause says so
    State.REVERTED: TargetState.FAILED,
    State.REGRESSED: TargetState.FAILED,
    State.FAILED: TargetState.FAILED,
    State.TIMED_OUT: TargetState.FAILED,
    State.REJECTED: TargetState.FAILED,
    State.CANCELLED: TargetState.CANCELLED,
    State.SUPERSEDED: TargetState.CANCELLED,
    State.GONE: TargetState.SKIPPED,
}


def reference_of(number: int) -> str:
    """What a target is carried out by."""
    return f"{PREFIX}{number}"


def number_of(reference: str) -> int:
    """The update of a reference."""
    return int(reference.removeprefix(PREFIX))


def target_state(state: State) -> TargetState | None:
    """``None``: the update is open."""
    return _STATES.get(state)


def outcome_of(update: Update) -> Outcome:
    """Of an update that is over. The cause is the state, or the code of one that failed."""
    return Outcome(reference_of(update.id), _STATES[update.state], cause_of(update), update.words)


def cause_of(update: Update) -> str:
    """Why it did not simply succeed, as a machine word."""
    if update.state is State.CONFIRMED:
        return ""
    return update.code if update.state is State.FAILED and update.code else str(update.state)
