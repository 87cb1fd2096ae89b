"""Route of recovery: a device asks for working credentials with the password it has."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from mooring.credentials.claims.api import RETRY_SECONDS, DeviceCredentialsOut, credentials_document
from mooring.credentials.service import Recovery
from mooring.web.auth import address_of
from mooring.web.basic import device_logins, scheme
from mooring.web.fields import DeviceReference
from mooring.web.services import SettingsNow, provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/devices", tags=["device"])

RecoveryNow = Annotated[Recovery, provided(Recovery)]


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
