"""Routes of downlinks: what is on its way to a device."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import Field

from mooring.devices.service import Devices
from mooring.downlink.model import Downlink
from mooring.downlink.service import Downlinks
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Reason, Time
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["document", "router"]

router = Routes(prefix="/api/v1/devices", tags=["downlinks"])

DevicesNow = Annotated[Devices, provided(Devices)]
DownlinksNow = Annotated[Downlinks, provided(Downlinks)]

States = Literal[
    "waiting",
    "queued",
    "sending",
    "held",
    "unconfirmed",
    "sent",
    "confirmed",
    "unheard",
    "expired",
    "cancelled",
    "failed",
]


class DownlinkOut(Document):
    """A message to a device. No answer contains its payload."""

    id: int
    topic: str
    qos: int
    state: States
    over: bool
    attempts: int = Field(description="How often it was sent, or may have been.")
    until: Literal["once", "taken", "confirmed", "live", "live_again"] = Field(
        description="When it is done."
    )
    origin: str = Field(description="The part of the platform that wrote it.")
    reason: str
    error: str = Field(description="Why it was not sent yet, or not at all.")
    created_at: Time
    next_at: Time = Field(description="It is not sent before.")
    expires_at: Time
    sent_at: Time | None
    finished_at: Time | None


def document(downlink: Downlink) -> dict[str, Any]:
    """A downlink as every answer shows it."""
    return {
        "id": downlink.id,
        "topic": downlink.topic,
        "qos": downlink.qos,
        "state": str(downlink.state),
        "over": downlink.over,
        "attempts": downlink.attempts,
        "until": str(downlink.until),
        "origin": downlink.origin,
        "reason": downlink.reason,
        "error": downlink.error,
        "created_at": downlink.created_at,
        "next_at": downlink.next_at,
        "expires_at": downlink.expires_at,
        "sent_at": downlink.sent_at,
        "finished_at": downlink.finished_at,
    }


@router.get("/{device}/downlinks", response_model=PageOf[DownlinkOut])
def list_downlinks(
    devices: DevicesNow,
    downlinks: DownlinksNow,
    who: Who,
    device: DeviceReference,
    paging: PagingDep,
) -> PageOf[dict[str, Any]]:
    """Lists pending and recent downlinks of a device, newest first."""
    found = devices.get(who, device)
    key = paging.key(int)
    rows = downlinks.of_device(
        who, found, limit=paging.limit + 1, before=None if key is None else int(key[0])
    )
    return paging.cut([document(one) for one in rows], lambda item: (item["id"],))


@router.delete("/{device}/downlinks/{number}", response_model=DownlinkOut)
def cancel_downlink(
    *,
    devices: DevicesNow,
    downlinks: DownlinksNow,
    who: Who,
    device: DeviceReference,
    number: Annotated[int, Path(ge=1, le=2**63 - 1)],
    reason: Reason = "",
) -> dict[str, Any]:
    """Cancels an open downlink. If it has `attempts`, it may already have arrived."""
    found = devices.get(who, device)
    return document(downlinks.cancel(who, found, number, reason=reason))
