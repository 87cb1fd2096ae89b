"""Routes of claim codes, and the one that devices ask."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from fastapi import Path, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mooring.credentials.claims import documents, qr
from mooring.credentials.claims.model import NewClaim
from mooring.credentials.claims.service import Claims
from mooring.devices.api import BrokerOut, HttpOut
from mooring.devices.model import Credentials
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.web.address import told_to_devices
from mooring.web.auth import Who, address_of
from mooring.web.fields import Document, Json, Line, Reason, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import SettingsNow, provided
from mooring.web.watching import Watch

__all__ = ["DeviceCredentialsOut", "credentials_document", "router"]

router = Routes(prefix="/api/v1", tags=["claims"])

ClaimsNow = Annotated[Claims, provided(Claims)]

Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the code in the list.")]
RETRY_SECONDS = 2


class ClaimIn(Document):
    """A new device to create a claim code for."""

    dialect: Word
    tenant: Word | None = None
    label: Line = Field(default="", description="Label of the device.")
    name: Word | None = Field(
        default=None, description="Device ID used in topics. Default: made from the hardware id."
    )
    groups: tuple[Word, ...] = ()
    attributes: dict[str, Json] = Field(
        default={}, description="Attributes of the device that uses the code."
    )
    expires_in: Annotated[float, Field(ge=1, le=315_360_000, description="Seconds.")] | None = None
    reason: Reason = ""


class ClaimOut(Document):
    """A claim code, without the code."""

    id: int
    state: Literal["open", "claimed", "revoked", "expired"]
    tenant: str
    dialect: str
    label: str
    name: str | None
    groups: list[str]
    attributes: dict[str, Any]
    created_at: Time
    created_by: str
    expires_at: Time
    revoked_at: Time | None
    claimed_at: Time | None
    hardware_id: str | None


class NewClaimOut(ClaimOut):
    """The code itself, shown only once."""

    code: str
    qr_text: str = Field(description="Content of the QR code.")
    qr_svg: str
    qr_png: str = Field(description="QR code as PNG, in base64.")


class DeviceClaimIn(Document):
    """What a device sends."""

    code: Annotated[str, Field(max_length=64)]
    hardware_id: Annotated[
        str, Field(max_length=128, description="MAC address or serial number of the device.")
    ]


class DeviceCredentialsOut(Document):
    """Everything that a device needs to connect."""

    device: str
    tenant: str
    dialect: str
    label: str
    username: str
    password: str
    client_id: str
    topics: dict[str, str]
    shape: dict[str, Any] = Field(description="Channels of the device, for the SDK.")
    broker: BrokerOut
    http: HttpOut
    accepted_by_broker: bool = Field(
        description="False: connect after `retry_after` seconds. Repeating the request is safe."
    )
    retry_after: int | None = None


def credentials_document(
    settings: Settings, credentials: Credentials, accepted: bool, request: Request
) -> dict[str, Any]:
    """The answer to a device."""
    device = credentials.device
    return {
        "device": device.name,
        "tenant": device.tenant,
        "dialect": device.dialect,
        "label": device.label,
        "username": device.username,
        "password": credentials.password,
        "client_id": device.client_id,
        "topics": credentials.topics,
        "shape": credentials.shape,
        **told_to_devices(settings, asked_at=request.url.hostname),
        "accepted_by_broker": accepted,
        "retry_after": None if accepted else RETRY_SECONDS,
    }


@router.post("/claim-codes", status_code=201, response_model=NewClaimOut)
def new_claim_code(
    claims: ClaimsNow, settings: SettingsNow, who: Who, new: ClaimIn
) -> dict[str, Any]:
    """Creates a claim code. The answer shows it only once."""
    wanted = NewClaim(
        new.dialect,
        new.tenant or who.tenant or "default",
        new.label,
        new.name,
        tuple(new.groups),
        new.expires_in,
        new.attributes,
    )
    issued = claims.new(who, wanted, reason=new.reason)
    text = qr.content(issued.code, told_to_devices(settings)["http"]["url"])
    return {
        **documents.claim(issued.claim, now_ms()),
        "code": issued.code,
        "qr_text": text,
        "qr_svg": qr.svg(text),
        "qr_png": base64.b64encode(qr.png(text)).decode("ascii"),
    }


@router.get("/claim-codes", response_model=PageOf[ClaimOut])
def list_claim_codes(
    claims: ClaimsNow, who: Who, paging: PagingDep, tenant: Word | None = None
) -> PageOf[dict[str, Any]]:
    """Lists claim codes, newest first. The codes themselves are not stored."""
    (before,) = paging.key(int) or (None,)
    found = claims.page(
        who,
        limit=paging.limit + 1,
        before=None if before is None else int(before),
        tenant=tenant,
    )
    now = now_ms()
    items = [documents.claim(one, now) for one in found]
    return paging.cut(items, lambda item: (item["id"],))


@router.delete("/claim-codes/{number}", response_model=ClaimOut)
def revoke_claim_code(
    claims: ClaimsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Revokes a code immediately. A device that has used it keeps its credentials."""
    return documents.claim(claims.revoke(who, number, reason=reason), now_ms())


@router.post(
    "/claims",
    status_code=201,
    response_model=DeviceCredentialsOut,
    responses={
        202: {"model": DeviceCredentialsOut, "description": "The broker will accept them shortly."}
    },
)
async def claim(
    *,
    settings: SettingsNow,
    claims: ClaimsNow,
    request: Request,
    response: Response,
    watch: Watch,
    asked: DeviceClaimIn,
) -> dict[str, Any]:
    """Exchanges a claim code for credentials. The answer is sent when the broker accepts them.

    Until they have been used once, a request with the same code and hardware id returns the same
    ones.
    """
    claimed = await run_in_threadpool(
        claims.claim, asked.code, asked.hardware_id, origin=address_of(request)
    )
    accepted = await watch.applied(claimed.changes, settings.accept_wait_seconds)
    if not accepted:
        response.status_code = 202
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await run_in_threadpool(
        credentials_document, settings, claimed.credentials, accepted, request
    )
