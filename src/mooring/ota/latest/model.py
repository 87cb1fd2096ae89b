"""Values of announcements. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mooring.ota.releases.model import Kind

__all__ = ["Announcement", "Ended", "Found", "How", "OfDevice", "Reached", "Shown"]


class Ended(StrEnum):
    """Why an announcement is over."""

    SUPERSEDED = "superseded"  # by another release on its topic
    WITHDRAWN = "withdrawn"  # with its release
    RETRACTED = "retracted"  # by an administrator


@dataclass(frozen=True, slots=True)
class Announcement:
    """A release on a topic that devices of all tenants read.

    Attributes:
        dialects: names of those that declare the topic and whose devices proved the release.
        job_id: the rollout after whose last gate it was announced.
        tenant: of the release.
        release: ``product:version``.
        actor, reason: who announced it, and why.
        ended_at: ``None``: the topic has it.
    """

    id: int
    topic: str
    dialects: tuple[str, ...]
    kind: Kind
    job_id: int
    release_id: int
    artifact_id: int
    actor: str
    reason: str
    at: int
    ended_at: int | None
    ended_why: str
    tenant: str
    release: str
    version: str


class Reached(NamedTuple):
    """Devices of an announcement's dialects that report its version.

    Attributes:
        by_update: they had an update to the release.
        by_topic: they had none, and report it since it was announced.
        before: likewise, but they reported it earlier.
    """

    by_update: int
    by_topic: int
    before: int


class Shown(NamedTuple):
    """An announcement, and the devices that run its release; ``None``: its kind is not counted, or
    it is over."""

    announcement: Announcement
    reached: Reached | None


class How(StrEnum):
    """How one device came to an announced release."""

    UPDATE = "update"  # it was offered to the device
    TOPIC = "topic"  # it was not, and the device reports it since the announcement
    BEFORE = "before"  # it was not, and the device reported it earlier
    NOT_YET = "not_yet"  # the device does not report it


class OfDevice(NamedTuple):
    """An announcement as one device has it. ``how``: ``None``: its kind is not counted."""

    topic: str
    version: str
    at: int
    how: How | None


class Found(NamedTuple):
    """What a link in an announcement leads to.

    Attributes:
        open: it is announced, and its release is offered to devices.
    """

    announcement: int
    artifact: int
    name: str
    size: int
    sha256: str
    open: bool
