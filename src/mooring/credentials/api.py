"""Routes that devices ask with the password they have: working credentials, and their channels."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mooring.credentials.claims.api import RETRY_SECONDS, DeviceCredentialsOut, credentials_document
from mooring.credentials.service import Recovery
from mooring.devices.keys.service import audience_of
from mooring.devices.login import device_login, require_own
from mooring.devices.service import Devices
from mooring.identity.throttle import Throttles
from mooring.store.tally import Tally
from mooring.web.auth import address_of
from mooring.web.basic import device_logins, scheme
from mooring.web.fields import DeviceReference, Document
from mooring.web.routing import Routes
from mooring.web.services import DatabaseNow, SettingsNow, provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = Routes(prefix="/api/v1/devices", tags=["device"])

DevicesNow = Annotated[Devices, provided(Devices)]
ThrottlesNow = Annotated[Throttles, provided(Throttles)]
TallyNow = Annotated[Tally, provided(Tally)]
RecoveryNow = Annotated[Recovery, provided(Recovery)]


class ShapeOut(Document):
    """How a device speaks now."""

    device: str
    tenant: str
    topics: dict[str, str]
    shape: dict[str, Any] = Field(description="Channels of the device, for the SDK.")


@router.get("/{device}/shape", dependencies=[Depends(scheme)], response_model=ShapeOut)
def shape(
    *,
    request: Request,
    database: DatabaseNow,
    devices: DevicesNow,
    settings: SettingsNow,
    throttles: ThrottlesNow,
    tally: TallyNow,
    device: DeviceReference,
    logins: Annotated[list[tuple[str, str]], Depends(device_logins)],
) -> dict[str, Any]:
    """Returns a device's channels, which change with its groups and with its dialect."""
    origin = address_of(request)
    known = device_login(
        database,
        logins,
        throttle=throttles.devices,
        tally=tally,
        origin=origin,
        audience=audience_of(settings, devices.instance),
    )
    found = require_own(device, known)
    return {
        "device": found.name,
        "tenant": found.tenant,
        "topics": devices.topics(found),
        "shape": devices.shape(found),
    }


@router.post(
    "/{device}/recover",
    dependencies=[Depends(scheme)],  # for the OpenAPI document
    response_model=DeviceCredentialsOut,
    responses={
        202: {"model": DeviceCredentialsOut, "description": "The broker will accept them shortly."}
    },
)
async def recover(
    *,
    settings: SettingsNow,
    recovery: RecoveryNow,
    watch: Watch,
    request: Request,
    response: Response,
    device: DeviceReference,
    logins: Annotated[list[tuple[str, str]], Depends(device_logins)],
) -> dict[str, Any]:
    """Returns valid credentials for a device that the broker rejects.

    The device authenticates with its current password, one of a rotation in progress, or a recent
    one.
    """
    recovered = await run_in_threadpool(
        recovery.recover, device, logins, origin=address_of(request)
    )
    accepted = await watch.applied(recovered.changes, settings.accept_wait_seconds)
    if not accepted:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await run_in_threadpool(
        credentials_document, settings, recovered.credentials, accepted, request
    )
