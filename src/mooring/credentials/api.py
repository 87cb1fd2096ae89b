"""Route of recovery: a device asks for working credentials with the password it has."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from mooring.access.waiting import wait_for_broker
from mooring.claims.api import RETRY_SECONDS, DeviceCredentialsOut, credentials_document
from mooring.http.auth import Platform, address_of
from mooring.http.basic import device_logins, scheme
from mooring.http.fields import DeviceReference

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/devices", tags=["device"])


@router.post(
    "/{device}/recover",
    dependencies=[Depends(scheme)],  # for the OpenAPI document
    response_model=DeviceCredentialsOut,
    responses={202: {"model": DeviceCredentialsOut, "description": "Good in a moment."}},
)
def recover(
    platform: Platform,
    request: Request,
    response: Response,
    device: DeviceReference,
    logins: Annotated[list[tuple[str, str]], Depends(device_logins)],
) -> dict[str, Any]:
    """Working credentials for a device that the broker refuses.

    Its present password, one under way, or one it had lately proves who it is.
    """
    recovered = platform.recovery.recover(device, logins, origin=address_of(request))
    accepted = wait_for_broker(
        platform.database, recovered.changes, platform.settings.accept_wait_seconds
    )
    if not accepted:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return credentials_document(platform.settings, recovered.credentials, accepted, request)
