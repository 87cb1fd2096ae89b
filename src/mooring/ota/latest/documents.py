"""Requests and answers of ``mooring.ota.latest.api``; the command line answers the same."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mooring.dialects.times import iso, iso_or_none
from mooring.ota.latest.model import Shown
from mooring.web.fields import Document, Reason, Time

__all__ = ["AnnounceIn", "AnnouncementOut", "AnnouncementsOut", "ReachedOut", "document"]


class AnnounceIn(Document):
    """An announcement to every device of the dialects in which a rollout has proved its release."""

    force_hardware: bool = Field(
        False, description="Although the hardware of some of these devices is not known."
    )
    reason: Reason = ""


class ReachedOut(Document):
    """Devices of the announcement's dialects that report its version."""

    by_update: int = Field(description="They had an update to the release.")
    by_topic: int = Field(description="They had none, and report it since it was announced.")
    before: int = Field(description="They had none, and reported it earlier.")


class AnnouncementOut(Document):
    """A release on a retained topic that devices of all tenants read."""

    number: int
    topic: str
    dialects: list[str] = Field(description="Dialects whose devices read the topic.")
    kind: Literal["firmware", "filesystem", "other"]
    rollout: int
    release: str
    release_id: int
    tenant: str = Field(description="Tenant of the release.")
    actor: str
    reason: str
    announced_at: Time
    ended_at: Time | None
    ended_why: Literal["superseded", "withdrawn", "retracted"] | None
    reached: ReachedOut | None = Field(
        description="Null where the kind is not counted, and once the announcement is over."
    )


class AnnouncementsOut(Document):
    """Announcements of a rollout: one for each topic."""

    items: list[AnnouncementOut]


def document(shown: Shown) -> dict[str, Any]:
    """An announcement as every answer shows it. Times are text."""
    one, reached = shown
    return {
        "number": one.id,
        "topic": one.topic,
        "dialects": list(one.dialects),
        "kind": str(one.kind),
        "rollout": one.job_id,
        "release": one.release,
        "release_id": one.release_id,
        "tenant": one.tenant,
        "actor": one.actor,
        "reason": one.reason,
        "announced_at": iso(one.at),
        "ended_at": iso_or_none(one.ended_at),
        "ended_why": one.ended_why or None,
        "reached": None if reached is None else reached._asdict(),
    }
