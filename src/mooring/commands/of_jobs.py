"""What the end of a command means for the job that sent it. Pure."""

from __future__ import annotations

from mooring.commands.model import OF_JOB, Command
from mooring.commands.rules import State
from mooring.jobs.model import Outcome
from mooring.jobs.rules import TargetState

__all__ = ["PREFIX", "is_of_job", "number_of", "outcome_of", "reference_of", "target_state"]

PREFIX = "j-"
"""Begins the ids on the wire of commands of jobs that name none. An id that somebody chose may
begin so, too: then there is no target with its number."""

_REFERENCE = "command:"

_STATES = {
    State.DONE: TargetState.SUCCEEDED,
    State.UNCONFIRMED: TargetState.SUCCEEDED,  # its dialect has no way to say more
    State.FAILED: TargetState.FAILED,
    State.REJECTED: TargetState.FAILED,
    State.TIMED_OUT: TargetState.FAILED,
    State.EXPIRED: TargetState.FAILED,
    State.CANCELLED: TargetState.CANCELLED,
}


def is_of_job(command: Command) -> bool:
    """Whether a job may have sent it."""
    of_job = any(one.kind == OF_JOB for one in command.evidence[:1])
    return of_job or command.uid.startswith(PREFIX)


def reference_of(number: int) -> str:
    """What a target is carried out by."""
    return f"{_REFERENCE}{number}"


def number_of(reference: str) -> int:
    """The command of a reference."""
    return int(reference.removeprefix(_REFERENCE))


def target_state(state: State) -> TargetState | None:
    """``None``: the command is open."""
    return _STATES.get(state)


def outcome_of(command: Command) -> Outcome:
    """Of a command that is over."""
    code = "" if command.state is State.DONE else str(command.state)
    words = command.evidence[-1].detail if command.evidence else ""
    return Outcome(reference_of(command.id), _STATES[command.state], code, words)
