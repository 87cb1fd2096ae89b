"""Requests and answers of ``mooring.jobs.api``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mooring.errors import Invalid
from mooring.groups.selector import NAMES_MAX, Selector
from mooring.identity.actor import Actor
from mooring.jobs.checks import PACE_MAX
from mooring.jobs.model import Job, Target
from mooring.jobs.rules import Counts, Plan
from mooring.jobs.selection import selector
from mooring.web.fields import Document, Json, Name, Reason, Time, Word

__all__ = [
    "CountsOut",
    "JobIn",
    "JobOut",
    "PlanIn",
    "SelectionIn",
    "States",
    "TargetOut",
    "TargetStates",
    "changed_plan",
    "counts_document",
    "document",
    "plan_of",
    "selection_of",
    "target_document",
]

States = Literal[
    "preparing",
    "running",
    "paused",
    "stopped",
    "cancelling",
    "expiring",
    "done",
    "cancelled",
    "expired",
]
TargetStates = Literal["waiting", "handed_over", "succeeded", "failed", "skipped", "cancelled"]

Pace = Annotated[float, Field(ge=0, le=PACE_MAX)]
Number = Annotated[int, Field(ge=1, le=1_000_000)]


class SelectionIn(Document):
    """Devices of the tenant, in exactly one way. They are listed when the job begins."""

    devices: list[Name] | None = Field(None, max_length=NAMES_MAX)
    all: bool = False
    where: Annotated[str, Field(min_length=1, max_length=1_000)] | None = Field(
        None, description="A query, such as `type = pump and tag = cellar`."
    )
    group: Word | None = Field(None, description="A static or a dynamic group.")


class PlanIn(Document):
    """How a job continues. What is left out stays as it is."""

    pace_per_second: Pace | None = Field(
        None, description="Devices started in a second; 0: as fast as possible. Default: 100."
    )
    at_once: Number | None = Field(None, description="Devices without an outcome at most.")
    stop_after: Number | None = Field(None, description="Failures that stop the job.")
    stop_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Share of failures that stops the job, from three failures on."
    )
    gate_share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Share of successes that a wave needs for the next one. Default: 0.95."
    )
    gate_done: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Share of started devices that need an outcome for the next wave. Default: "
        "every device of the wave needs one.",
    )
    soak_seconds: Annotated[float, Field(ge=0, le=2_592_000)] | None = Field(
        None, description="How long a wave is watched after its last outcome."
    )


class JobIn(PlanIn):
    """An action for many devices.

    `what` for a `command`: `name`, `parameters`, `channel`, `now`, `expires_seconds`,
    `reply_timeout_seconds`, `id` (on the wire, the same for each device). For a `rotation`:
    `older_than_seconds`, `keep_old`. For `settings`: `patch` (a merge patch), `guard_seconds`.
    """

    kind: Word = Field(description="command, rotation or settings.")
    what: dict[str, Json] = Field(default_factory=dict)
    tenant: Name | None = Field(None, description="That of the person by default.")
    selection: SelectionIn
    waves: list[Annotated[float, Field(gt=0, le=100)]] | None = Field(
        None, max_length=10, description="Rising percentages, the last one 100. Default: 100."
    )
    expires_seconds: Annotated[float, Field(ge=60, le=31_536_000)] | None = Field(
        None, description="How long the job may take."
    )
    reason: Reason = ""


class CountsOut(Document):
    """Devices by state."""

    total: int
    waiting: int
    handed_over: int
    succeeded: int
    failed: int
    skipped: int
    cancelled: int


class JobOut(Document):
    """A job and how far it is."""

    number: int
    tenant: str
    kind: str
    title: str
    what: dict[str, Any] = Field(description="What it does; secret fields are masked.")
    selection: dict[str, Any]
    state: States
    why: str = Field(description="Why it stopped.")
    over: bool
    counts: CountsOut
    pace_per_second: float = Field(description="0: as fast as possible.")
    at_once: int | None
    stop_after: int | None
    stop_share: float | None
    waves: list[float]
    wave: int = Field(description="The open wave, from 1.")
    gate_share: float
    gate_done: float | None
    soak_seconds: float
    actor: str
    reason: str
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    expires_at: Time


class TargetOut(Document):
    """One device of a job."""

    device: str
    state: TargetStates
    cause: str = Field(description="Why it failed, was skipped or cancelled, for programs.")
    words: str = Field(description="The same for people.")
    reference: str | None = Field(description="What carries the job out, as `command:12`.")
    attempts: int
    not_before: Time | None = Field(
        description="When a device that waits or is skipped is looked at again."
    )
    handed_over_at: Time | None
    finished_at: Time | None


_SAME = ("at_once", "stop_after", "stop_share", "gate_share", "gate_done")


def changed_plan(given: PlanIn) -> dict[str, Any]:
    """Attributes of ``Plan`` that a request names."""
    named = given.model_fields_set
    found: dict[str, Any] = {name: getattr(given, name) for name in _SAME if name in named}
    if found.get("gate_share", 0) is None:
        del found["gate_share"]
    if given.pace_per_second is not None:
        found["pace"] = given.pace_per_second or None
    if given.soak_seconds is not None:
        found["soak_ms"] = int(given.soak_seconds * 1000)
    return found


def selection_of(given: JobIn, who: Actor) -> Selector:
    """The devices of a new job.

    Raises:
        Invalid: ``tenant_needed``; ``which_devices``; the query is not valid.
    """
    tenant = given.tenant or who.tenant
    if tenant is None:
        raise Invalid("A job belongs to one tenant.", hint="Name it.", code="tenant_needed")
    one = given.selection
    return selector(tenant, names=one.devices, everyone=one.all, where=one.where, group=one.group)


def plan_of(given: JobIn) -> Plan:
    """The plan of a new job."""
    changed = changed_plan(given)
    if given.waves is not None:
        changed["waves"] = tuple(given.waves)
    return Plan(**changed)


def document(job: Job, what: dict[str, Any]) -> dict[str, Any]:
    """A job as every answer shows it."""
    same = (
        "tenant",
        "kind",
        "title",
        "why",
        "over",
        "actor",
        "reason",
        "created_at",
        "started_at",
        "finished_at",
        "expires_at",
    )
    plan = job.plan
    return {
        "number": job.id,
        "what": what,
        "selection": job.selection.document(),
        "state": str(job.state),
        "counts": counts_document(job.counts),
        "pace_per_second": plan.pace or 0,
        **{name: getattr(plan, name) for name in _SAME},
        "waves": list(plan.waves),
        "wave": job.wave + 1,
        "soak_seconds": plan.soak_ms / 1000,
        **{name: getattr(job, name) for name in same},
    }


def counts_document(counts: Counts) -> dict[str, int]:
    """Devices by state as every answer shows them."""
    named = (name for name in CountsOut.model_fields if name != "total")
    return {"total": counts.total, **{name: getattr(counts, name) for name in named}}


def target_document(target: Target) -> dict[str, Any]:
    """A target as every answer shows it."""
    same = ("device", "cause", "words", "reference", "attempts", "finished_at", "not_before")
    return {
        **{name: getattr(target, name) for name in same},
        "state": str(target.state),
        "handed_over_at": target.handed_at,
    }
