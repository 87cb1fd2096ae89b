"""Requests and answers of ``mooring.ota.updates.api``; the command line answers the same."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mooring.dialects.times import iso, iso_or_none
from mooring.ota.updates.model import Update
from mooring.web.fields import Document, Reason, Time, Word

__all__ = ["States", "UpdateIn", "UpdateOut", "document"]

States = Literal[
    "waiting",
    "offered",
    "deferred",
    "downloading",
    "installing",
    "rebooting",
    "installed",
    "confirmed",
    "reverted",
    "regressed",
    "unproved",
    "failed",
    "timed_out",
    "rejected",
    "cancelled",
    "superseded",
    "gone",
]


class UpdateIn(Document):
    """A release to offer to one device."""

    device: Word = Field(description="Name of the device, or tenant:name.")
    release: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="Its number, or product:version."
    )
    force_downgrade: bool = Field(False, description="Although the device runs a newer version.")
    force_hardware: bool = Field(
        False, description="Although the hardware of the device is not known."
    )
    artifact: Annotated[str, Field(max_length=128)] = Field(
        "", description="Name of the file; empty: the release's first complete one."
    )
    expires_seconds: Annotated[float, Field(ge=60, le=31_536_000)] | None = Field(
        None, description="How long the device may take to accept."
    )
    reason: Reason = ""


class StepOut(Document):
    """A state that the update entered, and why."""

    at: Time
    state: States
    event: str
    words: str


class UpdateOut(Document):
    """A firmware update of one device."""

    number: int
    id: str = Field(description="Its ID on the wire.")
    device: str
    tenant: str
    release: int = Field(description="Number of the release.")
    kind: Literal["firmware", "filesystem", "other"]
    version: str
    from_version: str = Field(description="What the device reported before; empty: nothing.")
    job: int | None = Field(description="The job that made it.")
    state: States
    state_at: Time
    over: bool
    due_at: Time | None = Field(description="The deadline of its state.")
    percent: int | None
    served: int = Field(description="Bytes of the file that were served.")
    size: int = Field(description="Bytes of the file.")
    offers: int = Field(description="How often it was offered since the last download began.")
    attempts: int = Field(description="Downloads that were begun.")
    installs: int = Field(description="Installs of the release that were not confirmed.")
    session_at: Time | None = Field(description="When the session after the install began.")
    seen: Literal["", "new", "old"] = Field(
        description="Version that the newest message after the install named."
    )
    code: str = Field(description="Why it failed or was rejected.")
    words: str = Field(description="The same in words, those of the device where it has some.")
    log: str | None = Field(description="The log that the device sent; null in lists.")
    actor: str
    reason: str
    created_at: Time
    expires_at: Time
    finished_at: Time | None
    history: list[StepOut]


def document(update: Update, *, log: bool = True) -> dict[str, Any]:
    """An update as every answer shows it. Times are text.

    Args:
        log: whether the device's log is part of it.
    """
    same = (
        *("device", "tenant", "version", "from_version", "over", "percent", "served", "size"),
        *("offers", "attempts", "installs", "code", "words", "actor", "reason"),
    )
    times = ("due_at", "session_at", "finished_at")
    return {
        "number": update.id,
        "id": update.uid,
        "release": update.release_id,
        "kind": str(update.kind),
        "job": update.job_id,
        "state": str(update.state),
        "state_at": iso(update.state_at),
        "seen": str(update.seen),
        "log": update.log if log else None,
        "created_at": iso(update.created_at),
        "expires_at": iso(update.expires_at),
        "history": [
            {
                "at": iso(step.at),
                "state": str(step.state),
                "event": step.event,
                "words": step.words,
            }
            for step in update.history
        ],
        **{name: getattr(update, name) for name in same},
        **{name: iso_or_none(getattr(update, name)) for name in times},
    }
