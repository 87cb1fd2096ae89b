"""Routes of jobs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Path, Query

from mooring.jobs.documents import (
    JobIn,
    JobOut,
    PlanIn,
    States,
    TargetOut,
    TargetStates,
    changed_plan,
    document,
    plan_of,
    selection_of,
    target_document,
)
from mooring.jobs.model import Job, NewJob
from mooring.jobs.rules import State, TargetState
from mooring.jobs.service import Jobs
from mooring.web.auth import Who
from mooring.web.fields import Reason
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/jobs", tags=["jobs"])

JobsNow = Annotated[Jobs, provided(Jobs)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
OfStates = Annotated[list[States] | None, Query(alias="state", description="Only these states.")]
OfTargets = Annotated[
    list[TargetStates] | None, Query(alias="state", description="Only these states.")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A request with the same key starts no second job.",
    ),
]


@router.post("", status_code=202, response_model=JobOut)
def start_job(jobs: JobsNow, who: Who, given: JobIn, key: Key = None) -> dict[str, Any]:
    """Starts an action for many devices. Devices are listed and started by the worker."""
    new = NewJob(
        kind=given.kind,
        what=given.what,
        selection=selection_of(given, who),
        plan=plan_of(given),
        expires_ms=None if given.expires_seconds is None else int(given.expires_seconds * 1000),
        reason=given.reason,
        key=key,
    )
    return _document(jobs, jobs.start(who, new))


@router.get("", response_model=PageOf[JobOut])
def list_jobs(
    jobs: JobsNow, who: Who, paging: PagingDep, states: OfStates = None
) -> PageOf[dict[str, Any]]:
    """Lists jobs, the newest first."""
    key = paging.key(int)
    found = jobs.listed(
        who,
        limit=paging.limit + 1,
        before=None if key is None else int(key[0]),
        states=[State(one) for one in states or ()],
    )
    return paging.cut([_document(jobs, one) for one in found], lambda item: (item["number"],))


@router.get("/{number}", response_model=JobOut)
def show_job(jobs: JobsNow, who: Who, number: Number) -> dict[str, Any]:
    """Returns a job with its counts."""
    return _document(jobs, jobs.get(who, number))


@router.get("/{number}/targets", response_model=PageOf[TargetOut])
def list_targets(
    jobs: JobsNow, who: Who, number: Number, paging: PagingDep, states: OfTargets = None
) -> PageOf[dict[str, Any]]:
    """Lists the devices of a job with what became of each."""
    key = paging.key(int, int)
    found = jobs.targets(
        who,
        number,
        limit=paging.limit + 1,
        after=None if key is None else (int(key[0]), int(key[1])),
        states=[TargetState(one) for one in states or ()],
    )
    shown = found[: paging.limit]
    last = (shown[-1].rank, shown[-1].device_id) if len(found) > paging.limit else None
    return paging.page([target_document(one) for one in shown], last)


@router.patch("/{number}", response_model=JobOut)
def change_job(
    jobs: JobsNow, who: Who, number: Number, given: PlanIn, reason: Reason = ""
) -> dict[str, Any]:
    """Changes the pace and the limits of a job that is not over."""
    return _document(jobs, jobs.set(who, number, changed_plan(given), reason=reason))


@router.post("/{number}/pause", response_model=JobOut)
def pause_job(jobs: JobsNow, who: Who, number: Number, reason: Reason = "") -> dict[str, Any]:
    """Starts no more devices; what was started runs on."""
    return _document(jobs, jobs.pause(who, number, reason=reason))


@router.post("/{number}/resume", response_model=JobOut)
def resume_job(jobs: JobsNow, who: Who, number: Number, reason: Reason = "") -> dict[str, Any]:
    """Continues a paused or stopped job. Earlier failures do not stop it again."""
    return _document(jobs, jobs.resume(who, number, reason=reason))


@router.post("/{number}/cancel", response_model=JobOut)
def cancel_job(jobs: JobsNow, who: Who, number: Number, reason: Reason = "") -> dict[str, Any]:
    """Starts no more devices, and takes back what no device can have yet."""
    return _document(jobs, jobs.cancel(who, number, reason=reason))


@router.post("/{number}/retry", response_model=JobOut)
def retry_job(jobs: JobsNow, who: Who, number: Number, reason: Reason = "") -> dict[str, Any]:
    """Starts the failed devices again, also of a job that is done."""
    return _document(jobs, jobs.retry(who, number, reason=reason))


def _document(jobs: Jobs, job: Job) -> dict[str, Any]:
    return document(job, jobs.what(job))
