"""Routes of rotations, and of locking a device out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mooring.credentials.rotation import documents
from mooring.credentials.rotation.service import Rotations
from mooring.devices import documents as device_documents
from mooring.devices.api import DeviceOut
from mooring.devices.service import Devices
from mooring.errors import NotFound
from mooring.identity.actor import Actor
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Reason, Time
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import SettingsNow, provided
from mooring.web.watching import Watch, Watcher

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["credentials"])

DevicesNow = Annotated[Devices, provided(Devices)]
RotationsNow = Annotated[Rotations, provided(Rotations)]

Phases = Literal[
    "prepared", "sent", "probed", "on_new", "on_old", "settled", "rolled_back", "cancelled"
]


class RotateIn(Document):
    """The reason, and whether others may know the old password."""

    reason: Reason = ""
    compromised: bool = Field(
        default=False, description="The old password cannot recover the device afterwards."
    )


class ReasonIn(Document):
    reason: Reason = ""


class RotationOut(Document):
    """A rotation. No answer contains the password."""

    id: str
    device: str
    tenant: str
    phase: Phases
    over: bool
    reason: str
    requested_by: str
    created_at: Time
    finished_at: Time | None
    sends: int = Field(description="Commands sent to the device.")
    changes: int = Field(description="How often the broker was switched between the two passwords.")
    outcome: str


class LockedOut(Document):
    device: DeviceOut
    applied_by_broker: bool


@router.post("/devices/{device}/rotate-credentials", status_code=202, response_model=RotationOut)
def rotate_credentials(
    devices: DevicesNow,
    rotations: RotationsNow,
    who: Who,
    device: DeviceReference,
    asked: RotateIn | None = None,
) -> dict[str, Any]:
    """Starts a rotation of a device's password, or returns the one in progress."""
    asked = asked or RotateIn()
    found = devices.get(who, device)
    started = rotations.start(who, found, reason=asked.reason, keep_old=not asked.compromised)
    return documents.rotation(found.name, found.tenant, started.rotation)


@router.get("/devices/{device}/rotation", response_model=RotationOut)
def last_rotation(
    devices: DevicesNow, rotations: RotationsNow, who: Who, device: DeviceReference
) -> dict[str, Any]:
    """Returns the device's last rotation, in progress or finished."""
    found = devices.get(who, device)
    rotation = rotations.newest(found)
    if rotation is None:
        raise NotFound(
            f"The credentials of {device} were never rotated.", code="rotation_not_found"
        )
    return documents.rotation(found.name, found.tenant, rotation)


@router.get("/rotations", response_model=PageOf[RotationOut])
def list_rotations(
    rotations: RotationsNow,
    who: Who,
    paging: PagingDep,
    active: Annotated[bool, Query(description="Only those in progress.")] = False,
) -> PageOf[dict[str, Any]]:
    """Lists rotations, newest first."""
    key = paging.key(int, str)
    found = rotations.page(
        who,
        limit=paging.limit + 1,
        before=None if key is None else (int(key[0]), str(key[1])),
        only_active=active,
    )
    shown = found[: paging.limit]
    last = shown[-1][2] if len(found) > paging.limit else None
    return paging.page(
        [documents.rotation(device, tenant, rotation) for tenant, device, rotation in shown],
        None if last is None else (last.created_at, last.id),
    )


@router.post("/devices/{device}/disable", response_model=LockedOut)
async def disable_device(
    *,
    devices: DevicesNow,
    settings: SettingsNow,
    who: Who,
    watch: Watch,
    device: DeviceReference,
    asked: ReasonIn | None = None,
) -> dict[str, Any]:
    """Disables a device. Its session ends, and it cannot connect until it is enabled."""
    return await _set_enabled(
        devices, who, watch, device, asked, seconds=settings.accept_wait_seconds, enabled=False
    )


@router.post("/devices/{device}/enable", response_model=LockedOut)
async def enable_device(
    *,
    devices: DevicesNow,
    settings: SettingsNow,
    who: Who,
    watch: Watch,
    device: DeviceReference,
    asked: ReasonIn | None = None,
) -> dict[str, Any]:
    """Enables a device. It connects with its current password."""
    return await _set_enabled(
        devices, who, watch, device, asked, seconds=settings.accept_wait_seconds, enabled=True
    )


async def _set_enabled(
    devices: Devices,
    who: Actor,
    watch: Watcher,
    device: str,
    asked: ReasonIn | None,
    *,
    seconds: float,
    enabled: bool,
) -> dict[str, Any]:
    now, changes = await run_in_threadpool(
        devices.set_enabled,
        who,
        device,
        enabled=enabled,
        reason=asked.reason if asked else "",
    )
    applied = await watch.applied(changes, seconds)
    return {"device": device_documents.device(now), "applied_by_broker": applied}
