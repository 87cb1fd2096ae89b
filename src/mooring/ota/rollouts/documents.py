"""Requests and answers of ``mooring.ota.rollouts.api``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mooring.errors import Invalid
from mooring.groups.selector import Selector
from mooring.identity.actor import Actor
from mooring.jobs.documents import (
    CountsOut,
    PlanIn,
    SelectionIn,
    States,
    changed_plan,
    counts_document,
)
from mooring.jobs.rules import Plan
from mooring.jobs.selection import selector
from mooring.ota.rollouts.asked import (
    BYTES_PER_SECOND_MAX,
    JITTER_MAX_MS,
    WINDOWS_MAX,
    window_document,
    window_of,
)
from mooring.ota.rollouts.model import PLAN, GateOn, NewRollout, Rollout, Shown, Terms
from mooring.web.fields import Document, Name, Reason, Time, Word

__all__ = [
    "RolloutIn",
    "RolloutOut",
    "RolloutShownOut",
    "document",
    "new_rollout",
    "shown_document",
]

Gates = Literal["confirmed", "installed", "unproved"]
Days = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
OfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Percent = Annotated[float, Field(gt=0, le=100)]


class WindowDocument(Document):
    """A time of the week. It ends on the next day where `to` is not after `from`."""

    days: list[Days] = Field(
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        min_length=1,
        max_length=7,
    )
    start: OfDay = Field("00:00", alias="from")
    end: OfDay = Field("00:00", alias="to")


class RolloutIn(PlanIn):
    """A release for many devices. What is left out has the default of a rollout: 10 devices a
    second, 50 at once, waves of 1, 10 and 100 %, stopped at 5 % failures."""

    release: Word = Field(description="Its number, or product:version.")
    tenant: Name | None = Field(None, description="That of the person by default.")
    selection: SelectionIn
    waves: list[Percent] | None = Field(
        None, max_length=10, description="Rising percentages, the last one 100."
    )
    first: Word | None = Field(
        None, description="The devices of this group come before all others."
    )
    gate_on: Gates = Field(
        "confirmed",
        description="What counts as a success: the new version was proved; the device reports "
        "it as installed; or likewise, with devices that never report a version.",
    )
    windows: list[WindowDocument] = Field(
        default_factory=list,
        max_length=WINDOWS_MAX,
        description="When devices are offered the release, in their own time zone.",
    )
    zone: Word = Field("UTC", description="IANA time zone of devices that have none.")
    condition: Annotated[str, Field(max_length=1000)] = Field(
        "", description="A query that a device must match, such as `battery > 30`."
    )
    artifact: Word | None = Field(None, description="Name of the file. Default: the first one.")
    force_downgrade: bool = Field(False, description="Also for devices with a newer version.")
    force_hardware: bool = Field(False, description="Also where the hardware is not known.")
    bytes_per_second: Annotated[int, Field(ge=0, le=BYTES_PER_SECOND_MAX)] = Field(
        0, description="Bytes a second that are offered at most, on average. 0: no limit."
    )
    jitter_seconds: Annotated[float, Field(ge=0, le=JITTER_MAX_MS / 1000)] = Field(
        0, description="Each offer is delayed by a random time up to this."
    )
    download_any_time: bool = Field(
        False,
        description="The windows are those of the install: devices that can wait with the image "
        "are offered it before.",
    )
    approval: bool = Field(False, description="A second person has to approve it.")
    expires_seconds: Annotated[float, Field(ge=60, le=31_536_000)] | None = Field(
        None, description="How long the rollout may take."
    )
    reason: Reason = ""


class ApprovalOut(Document):
    """Whether a second person has agreed."""

    needed: bool
    changed_by: str = Field(
        description="Who made it, and who changed it since it was approved, with commas."
    )
    by: str | None = Field(description="Who approved it since then.")
    at: Time | None
    changed_at: Time = Field(
        description="When it was made, changed or approved last; pass it to `approve`."
    )


class RolloutOut(Document):
    """A rollout."""

    number: int
    tenant: str
    release: str
    release_id: int
    kind: Literal["firmware", "filesystem", "other"]
    selection: dict[str, Any]
    state: States
    why: str = Field(description="Why it stopped.")
    over: bool
    counts: CountsOut
    wave: int = Field(description="The open wave, from 1.")
    waves: list[float]
    pace_per_second: float = Field(description="0: as fast as possible.")
    at_once: int | None
    stop_after: int | None
    stop_share: float | None
    gate_share: float
    gate_done: float | None
    soak_seconds: float
    gate_on: Gates
    windows: list[WindowDocument]
    zone: str
    condition: str
    first: str | None
    bytes_per_second: int
    jitter_seconds: float
    download_any_time: bool
    latest_at: Time | None = Field(
        description="Since when its release is announced to every device; null: it is not."
    )
    approval: ApprovalOut
    actor: str
    reason: str
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    expires_at: Time


class WaveOut(Document):
    """One wave."""

    number: int
    percent: float = Field(description="This wave and the ones before, of all devices.")
    devices: int = Field(description="Devices of this wave alone.")
    open: int = Field(description="Started, without an outcome.")
    succeeded: int
    failed: int


class ReasonOut(Document):
    """Devices in a state for one reason."""

    state: str
    cause: str
    devices: int


class RolloutShownOut(RolloutOut):
    """A rollout and how far it is."""

    gate: str = Field(description="What it waits for, in words.")
    installing: int = Field(description="Devices in the middle of an install.")
    wave_counts: list[WaveOut]
    reasons: list[ReasonOut]


def new_rollout(given: RolloutIn, who: Actor, key: str | None) -> NewRollout:
    """The rollout that a request asks for.

    Raises:
        Invalid: ``tenant_needed``; ``which_devices``; ``invalid_rollout``.
    """
    tenant = given.tenant or who.tenant
    if tenant is None:
        raise Invalid("A rollout belongs to one tenant.", hint="Name it.", code="tenant_needed")
    return NewRollout(
        release=given.release,
        selection=_selection(given.selection, tenant),
        plan=_plan(given),
        terms=Terms(
            GateOn(given.gate_on),
            tuple(window_of(one.days, one.start, one.end) for one in given.windows),
            given.zone,
            given.condition,
            given.first or "",
            given.artifact or "",
            given.force_downgrade,
            given.force_hardware,
            given.bytes_per_second,
            round(given.jitter_seconds * 1000),
            given.download_any_time,
        ),
        approval=given.approval,
        expires_ms=None if given.expires_seconds is None else int(given.expires_seconds * 1000),
        reason=given.reason,
        key=key,
    )


def _selection(one: SelectionIn, tenant: str) -> Selector:
    return selector(tenant, names=one.devices, everyone=one.all, where=one.where, group=one.group)


def _plan(given: RolloutIn) -> Plan:
    named = {name: getattr(PLAN, name) for name in Plan.__dataclass_fields__}
    named |= changed_plan(given)
    if given.waves is not None:
        named["waves"] = tuple(given.waves)
    return Plan(**named)


_OF_JOB = (
    "tenant",
    "why",
    "over",
    "actor",
    "reason",
    "created_at",
    "started_at",
    "finished_at",
    "expires_at",
)
_OF_PLAN = ("at_once", "stop_after", "stop_share", "gate_share", "gate_done")


def document(rollout: Rollout) -> dict[str, Any]:
    """A rollout as every answer shows it."""
    job, terms, approval = rollout.job, rollout.terms, rollout.approval
    plan = job.plan
    return {
        "number": job.id,
        "release": rollout.release.reference,
        "release_id": rollout.release.id,
        "kind": str(rollout.release.kind),
        "selection": job.selection.document(),
        "state": str(job.state),
        "counts": counts_document(job.counts),
        "wave": job.wave + 1,
        "waves": list(plan.waves),
        "pace_per_second": plan.pace or 0,
        "soak_seconds": plan.soak_ms / 1000,
        "gate_on": str(terms.gate_on),
        "windows": [window_document(one) for one in terms.windows],
        "zone": terms.zone,
        "condition": terms.condition,
        "first": terms.first or None,
        "bytes_per_second": terms.bytes_per_second,
        "jitter_seconds": terms.jitter_ms / 1000,
        "download_any_time": terms.download_any_time,
        "latest_at": rollout.latest_at,
        "approval": {
            "needed": approval.needed,
            "changed_by": approval.changed_by,
            "by": approval.by or None,
            "at": approval.at,
            "changed_at": approval.changed_at,
        },
        **{name: getattr(plan, name) for name in _OF_PLAN},
        **{name: getattr(job, name) for name in _OF_JOB},
    }


def shown_document(shown: Shown) -> dict[str, Any]:
    """A rollout and how far it is."""
    return {
        **document(shown.rollout),
        "gate": shown.gate,
        "installing": shown.facts.busy,
        "wave_counts": [
            {
                "number": one.number,
                "percent": one.percent,
                "devices": one.size,
                "open": one.counts.get("handed_over", 0),
                "succeeded": one.counts.get("succeeded", 0),
                "failed": one.counts.get("failed", 0),
            }
            for one in shown.waves
        ],
        "reasons": [one._asdict() for one in shown.reasons],
    }
