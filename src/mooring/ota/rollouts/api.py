"""Routes of rollouts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Path, Query

from mooring.jobs.documents import PlanIn, TargetOut, TargetStates, changed_plan, target_document
from mooring.jobs.rules import TargetState
from mooring.ota.rollouts.documents import (
    RolloutIn,
    RolloutOut,
    RolloutShownOut,
    document,
    new_rollout,
    shown_document,
)
from mooring.ota.rollouts.service import Rollouts
from mooring.store.engine import now_ms
from mooring.telemetry.when import parse_when
from mooring.web.auth import Who
from mooring.web.fields import Line, Reason
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/rollouts", tags=["rollouts"])

RolloutsNow = Annotated[Rollouts, provided(Rollouts)]
Number = Annotated[int, Path(alias="rollout", ge=1, le=2**63 - 1)]
OfStates = Annotated[
    list[TargetStates] | None, Query(alias="state", description="Only these states.")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A request with the same key starts no second rollout.",
    ),
]


@router.post("", status_code=202, response_model=RolloutOut)
def start_rollout(
    rollouts: RolloutsNow, who: Who, given: RolloutIn, key: Key = None
) -> dict[str, Any]:
    """Offers a published release to devices, wave by wave."""
    return document(rollouts.create(who, new_rollout(given, who, key)))


@router.get("", response_model=PageOf[RolloutOut])
def list_rollouts(rollouts: RolloutsNow, who: Who, paging: PagingDep) -> PageOf[dict[str, Any]]:
    """Lists rollouts, the newest first."""
    key = paging.key(int)
    found = rollouts.listed(
        who, limit=paging.limit + 1, before=None if key is None else int(key[0])
    )
    return paging.cut([document(one) for one in found], lambda item: (item["number"],))


@router.get("/{rollout}", response_model=RolloutShownOut)
def show_rollout(rollouts: RolloutsNow, who: Who, number: Number) -> dict[str, Any]:
    """Returns a rollout with its waves, what it waits for, and why devices were not updated."""
    return shown_document(rollouts.shown(who, number))


@router.get("/{rollout}/devices", response_model=PageOf[TargetOut])
def list_rollout_devices(
    rollouts: RolloutsNow, who: Who, number: Number, paging: PagingDep, states: OfStates = None
) -> PageOf[dict[str, Any]]:
    """Lists the devices of a rollout with what became of each."""
    key = paging.key(int, int)
    found = rollouts.devices(
        who,
        number,
        limit=paging.limit + 1,
        after=None if key is None else (int(key[0]), int(key[1])),
        states=[TargetState(one) for one in states or ()],
    )
    shown = found[: paging.limit]
    last = (shown[-1].rank, shown[-1].device_id) if len(found) > paging.limit else None
    return paging.page([target_document(one) for one in shown], last)


@router.patch("/{rollout}", response_model=RolloutOut)
def change_rollout(
    rollouts: RolloutsNow, who: Who, number: Number, given: PlanIn, reason: Reason = ""
) -> dict[str, Any]:
    """Changes the pace and the limits of a rollout that is not over."""
    return document(rollouts.set(who, number, changed_plan(given), reason=reason))


@router.post("/{rollout}/approve", response_model=RolloutOut)
def approve_rollout(
    rollouts: RolloutsNow,
    who: Who,
    number: Number,
    reason: Reason = "",
    changed_at: Annotated[
        Line | None,
        Query(description="`approval.changed_at` of what you looked at: 409 if it is later now."),
    ] = None,
) -> dict[str, Any]:
    """Approves a rollout that somebody else has started or changed."""
    seen = None if changed_at is None else parse_when(changed_at, now_ms())
    return document(rollouts.approve(who, number, reason=reason, seen=seen))


@router.post("/{rollout}/pause", response_model=RolloutOut)
def pause_rollout(
    rollouts: RolloutsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Offers nothing more; what was offered runs on."""
    return document(rollouts.pause(who, number, reason=reason))


@router.post("/{rollout}/resume", response_model=RolloutOut)
def resume_rollout(
    rollouts: RolloutsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Continues a paused or stopped rollout. Earlier failures do not stop it again."""
    return document(rollouts.resume(who, number, reason=reason))


@router.post("/{rollout}/cancel", response_model=RolloutOut)
def cancel_rollout(
    rollouts: RolloutsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Offers nothing more and takes offers back. Installs that have begun run on."""
    return document(rollouts.cancel(who, number, reason=reason))


@router.post("/{rollout}/retry", response_model=RolloutOut)
def retry_rollout(
    rollouts: RolloutsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Offers the release to the failed devices again, also of a rollout that is over."""
    return document(rollouts.retry(who, number, reason=reason))


@router.post("/{rollout}/add", response_model=RolloutOut)
def add_to_rollout(
    rollouts: RolloutsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Adds devices that match the selection now and did not when the rollout began."""
    return document(rollouts.add(who, number, reason=reason))
