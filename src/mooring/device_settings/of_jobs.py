"""What happens to a device's settings means this for the job that changed them. Pure.

A job waits for a version of one device. What is guarded waits for the end of the guard: the
device's first report proves nothing yet.
"""

from __future__ import annotations

from mooring.device_settings.rules import Record, State
from mooring.jobs.model import Outcome
from mooring.jobs.rules import TargetState

__all__ = [
    "confirmed",
    "device_of",
    "is_guarded",
    "not_reported",
    "outcome_of",
    "reference_of",
    "reported_outcomes",
    "reverted",
]

_PLAIN, _GUARDED = "settings:", "guarded:"
_NOT_REPORTED = "The dialect does not report which settings a device has."


def reference_of(device: int, *, guarded: bool) -> str:
    """What a target is carried out by."""
    return f"{_GUARDED if guarded else _PLAIN}{device}"


def device_of(reference: str) -> int:
    """The device of a reference."""
    return int(reference.partition(":")[2])


def is_guarded(reference: str) -> bool:
    return reference.startswith(_GUARDED)


def reported_outcomes(device: int, record: Record) -> list[Outcome]:
    """Of what a device has reported."""
    found = outcome_of(record)
    if found is None:
        return []
    state, code, words = found
    return [Outcome(reference_of(device, guarded=False), state, code, words, record.version)]


def outcome_of(record: Record) -> tuple[TargetState, str, str] | None:
    """State, code and words; ``None``: the newest version is still open."""
    if record.state is State.IN_SYNC:
        return TargetState.SUCCEEDED, "", ""
    if record.state is State.STOPPED:
        return TargetState.FAILED, "refused", record.words
    return None


def not_reported(device: int, version: int) -> Outcome:
    """The broker has taken it, and the device cannot say more."""
    return Outcome(
        reference_of(device, guarded=False),
        TargetState.SUCCEEDED,
        "not_reported",
        _NOT_REPORTED,
        version,
    )


def confirmed(device: int, version: int) -> Outcome:
    """The device came back and reported the guarded version."""
    return Outcome(reference_of(device, guarded=True), TargetState.SUCCEEDED, "", "", version)


def reverted(device: int, version: int) -> Outcome:
    """The guarded change was taken back."""
    return Outcome(
        reference_of(device, guarded=True),
        TargetState.FAILED,
        "reverted",
        "The device did not confirm the guarded change in time.",
        version,
    )
