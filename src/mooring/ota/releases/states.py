"""What may become of a release: one table, which the documentation shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mooring.errors import Conflict
from mooring.ota.releases.model import Release, State

__all__ = ["TABLE", "Step", "after", "not_offered"]


class Step(StrEnum):
    """What a person does to a release."""

    PUBLISH = "publish"
    DEPRECATE = "deprecate"
    RESTORE = "restore"
    WITHDRAW = "withdraw"
    REMOVE = "remove"


TABLE: Mapping[tuple[State, Step], State | None] = {
    (State.DRAFT, Step.PUBLISH): State.PUBLISHED,
    (State.DRAFT, Step.REMOVE): None,
    (State.PUBLISHED, Step.DEPRECATE): State.DEPRECATED,
    (State.PUBLISHED, Step.WITHDRAW): State.WITHDRAWN,
    (State.DEPRECATED, Step.RESTORE): State.PUBLISHED,
    (State.DEPRECATED, Step.WITHDRAW): State.WITHDRAWN,
}
"""``None``: it no longer exists. A pair that is not here is ``release_state``."""


def not_offered(release: Release) -> str:
    """Why a release that is not published is not offered to devices, as a sentence."""
    name = f"The release {release.reference}"
    match release.state:
        case State.DRAFT:
            return f"{name} is a draft. Publish it first."
        case State.DEPRECATED:
            return f"{name} is deprecated. Restore it, or choose another one."
        case State.WITHDRAWN:
            return f"{name} was withdrawn. Choose another one."
        case State.PUBLISHED:
            return f"{name} is published."


def after(state: State, step: Step) -> State | None:
    """The state after a step.

    Raises:
        Conflict: ``release_state``: the step does not fit the state.
    """
    if (state, step) not in TABLE:
        fitting = sorted(one.value for known, one in TABLE if known is state)
        raise Conflict(
            f"A release that is {state} cannot be changed with `{step}`.",
            hint=f"Possible now: {', '.join(fitting)}." if fitting else "It stays as it is.",
            code="release_state",
            state=str(state),
        )
    return TABLE[state, step]
