"""The route with which a device exchanges a token for a password."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from mooring.credentials.claims.api import RETRY_SECONDS, DeviceCredentialsOut, credentials_document
from mooring.credentials.tokens.service import DevicePasswords
from mooring.web.auth import address_of
from mooring.web.basic import device_logins, scheme
from mooring.web.fields import DeviceReference, Time
from mooring.web.routing import Routes
from mooring.web.services import SettingsNow, provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = Routes(prefix="/api/v1/devices", tags=["device"])

PasswordsNow = Annotated[DevicePasswords, provided(DevicePasswords)]


class TemporaryOut(DeviceCredentialsOut):
    """Credentials whose password ends by itself."""

    expires_at: Time


@router.post(
    "/{device}/token",
    dependencies=[Depends(scheme)],  # for the OpenAPI document
    response_model=TemporaryOut,
    responses={202: {"model": TemporaryOut, "description": "The broker will accept them shortly."}},
)
async def exchange_token(
    *,
    settings: SettingsNow,
    passwords: PasswordsNow,
    watch: Watch,
    request: Request,
    response: Response,
    device: DeviceReference,
    logins: Annotated[list[tuple[str, str]], Depends(device_logins)],
) -> dict[str, Any]:
    """Returns a password for the broker. The device authenticates with its username and a token
    (JWT) that its key has signed."""
    found = await run_in_threadpool(passwords.exchange, device, logins, origin=address_of(request))
    accepted = await watch.applied(found.changes, settings.accept_wait_seconds)
    if not accepted:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    document = await run_in_threadpool(
        credentials_document, settings, found.credentials, accepted, request
    )
    return {**document, "expires_at": found.expires_at}
