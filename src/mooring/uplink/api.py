"""Route of readings over HTTP, with the device's own credentials (HTTP Basic)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from mooring.devices.login import device_login
from mooring.errors import Forbidden
from mooring.http.auth import Platform, address_of
from mooring.http.basic import device_logins, scheme
from mooring.http.fields import DeviceReference, Document, Word
from mooring.http.publisher import Publisher
from mooring.ingest.sequences import receipt
from mooring.uplink.service import Uplink, split

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/devices", tags=["device"])


class TakenOut(Document):
    """How many messages were taken, and the receipt over all the device's numbers."""

    accepted: int
    receipt: dict[str, Any]


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/{device}/telemetry",
    dependencies=[Depends(scheme)],  # for the OpenAPI document
    response_model=TakenOut,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
def telemetry(
    *,
    request: Request,
    platform: Platform,
    device: DeviceReference,
    logins: Annotated[list[tuple[str, str]], Depends(device_logins)],
    body: Annotated[bytes, Depends(_body)],
    channel: Annotated[
        Word | None, Query(description="An up channel of the dialect; telemetry by default.")
    ] = None,
) -> dict[str, Any]:
    """A device's readings, one or many: `{"messages": [ … ]}`. Answered when they are stored."""
    known = device_login(
        platform.database,
        logins,
        throttle=platform.throttles.devices,
        tally=platform.tally,
        origin=address_of(request),
    )
    if device not in {known.name, known.reference, known.username}:
        raise Forbidden(
            f"These are the credentials of {known.name}, not of {device}.",
            hint="A device sends its own readings only.",
            code="another_device",
        )
    publisher = request.app.state.publisher
    assert isinstance(publisher, Publisher)
    messages = split(body)
    numbers = Uplink(platform.database, platform.catalogue).take(
        known, messages, publisher.publish_all, channel=channel
    )
    return {"accepted": len(messages), "receipt": receipt(numbers)}
