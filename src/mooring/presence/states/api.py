"""Routes of presence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query

from mooring.presence.states.service import DevicePresence, Presence
from mooring.presence.states.store import HISTORY_MAX
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Time
from mooring.web.paging import LIMIT_MAX
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["document", "router"]

router = Routes(prefix="/api/v1/devices", tags=["devices"])

PresenceNow = Annotated[DevicePresence, provided(DevicePresence)]

StateName = Literal["never_seen", "online", "silent", "updating", "offline", "flapping"]


class EvidenceOut(Document):
    """What the state comes from; null where nothing is known."""

    connected: bool | None
    connected_at: Time | None
    address: str | None
    reported_online: bool | None
    reported_at: Time | None
    last_seen_at: Time | None
    announced_at: Time | None
    grace_until: Time | None
    interval_seconds: float | None
    interval_source: Literal["dialect", "messages"] | None
    changes: list[Time]


class PresenceChangeOut(Document):
    """A change of the state."""

    at: Time
    state: StateName
    reason: str


class PresenceOut(Document):
    """Whether a device is there, why, and its history, newest first."""

    device: str
    tenant: str
    state: StateName
    since: Time | None
    reason: str
    evidence: EvidenceOut
    history: list[PresenceChangeOut]


def document(device: str, tenant: str, found: Presence) -> dict[str, Any]:
    """Presence as CLI and REST show it."""
    record, said = found.record, found.evidence
    source = None if found.interval_ms is None else "dialect" if found.declared else "messages"
    return {
        "device": device,
        "tenant": tenant,
        "state": str(found.state),
        "since": found.since,
        "reason": record.reason,
        "evidence": {
            "connected": said.connected,
            "connected_at": said.connected_at,
            "address": said.address,
            "reported_online": said.online,
            "reported_at": said.online_at,
            "last_seen_at": said.last_seen_at,
            "announced_at": record.announced_at,
            "grace_until": record.grace_until,
            "interval_seconds": None if found.interval_ms is None else found.interval_ms / 1000,
            "interval_source": source,
            "changes": list(record.changes),
        },
        "history": [
            {"at": one.at, "state": str(one.state), "reason": one.reason} for one in found.history
        ],
    }


@router.get("/{device}/presence", response_model=PresenceOut)
def device_presence(
    presence: PresenceNow,
    who: Who,
    device: DeviceReference,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Changes.")] = HISTORY_MAX,
) -> dict[str, Any]:
    """Returns whether a device is there, with the evidence and the history of changes."""
    known, found = presence.of(who, device, limit=limit)
    return document(known.name, known.tenant, found)


class VersionOut(Document):
    """A version that the device did not report before."""

    at: Time
    version: str


class VersionsOut(Document):
    device: str
    tenant: str
    versions: list[VersionOut]


@router.get("/{device}/firmware-changes", response_model=VersionsOut)
def firmware_changes(presence: PresenceNow, who: Who, device: DeviceReference) -> dict[str, Any]:
    """Lists the versions of firmware that a device has reported, the oldest first; 50 are kept."""
    known, found = presence.versions(who, device)
    versions = [one._asdict() for one in found]
    return {"device": known.name, "tenant": known.tenant, "versions": versions}
