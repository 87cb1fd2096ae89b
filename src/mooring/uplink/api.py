"""Route of readings over HTTP, with the device's own credentials (HTTP Basic)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from mooring.devices.keys.service import audience_of
from mooring.devices.login import device_login, require_own
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.dialects import Catalogue
from mooring.identity.throttle import Throttles
from mooring.limits.allowances import Allowances
from mooring.secrets.instance import Instance
from mooring.sequences import store as gap_store
from mooring.sequences.numbers import receipt
from mooring.store.engine import Database
from mooring.store.tally import Tally
from mooring.uplink.service import (
    COMMIT_SECONDS,
    Sending,
    committed,
    not_committed,
    sending,
    split,
    without_committed,
)
from mooring.web.auth import address_of
from mooring.web.basic import device_logins, scheme
from mooring.web.fields import DeviceReference, Document, Word
from mooring.web.publisher import Publisher
from mooring.web.routing import Routes
from mooring.web.services import CatalogueNow, DatabaseNow, SettingsNow, provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = Routes(prefix="/api/v1/devices", tags=["device"])

ThrottlesNow = Annotated[Throttles, provided(Throttles)]
DevicesNow = Annotated[Devices, provided(Devices)]
TallyNow = Annotated[Tally, provided(Tally)]


class TakenOut(Document):
    """The number of accepted messages, and the receipt for all sequence numbers of the device."""

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
async def telemetry(
    *,
    request: Request,
    database: DatabaseNow,
    catalogue: CatalogueNow,
    devices: DevicesNow,
    throttles: ThrottlesNow,
    tally: TallyNow,
    settings: SettingsNow,
    instance: Annotated[Instance, provided(Instance)],
    watch: Watch,
    device: DeviceReference,
    logins: Annotated[list[tuple[str, str]], Depends(device_logins)],
    body: Annotated[bytes, Depends(_body)],
    channel: Annotated[
        Word | None, Query(description="An up channel of the dialect; telemetry by default.")
    ] = None,
) -> dict[str, Any]:
    """Accepts readings of a device, one or many: `{"messages": [ … ]}`. The answer is sent when
    they are stored."""
    known = await run_in_threadpool(
        lambda: require_own(
            device,
            device_login(
                database,
                logins,
                throttle=throttles.devices,
                tally=tally,
                audience=audience_of(settings, instance),
                origin=address_of(request),
            ),
        )
    )
    plan = await run_in_threadpool(_planned, database, catalogue, known, body, channel)
    allowances = request.app.state.residents[Allowances]
    sizes = [len(plan.topic) + len(payload) for payload in plan.payloads]
    await run_in_threadpool(allowances.take, database, devices, tally, known, sizes)
    publisher = request.app.state.publisher
    assert isinstance(publisher, Publisher)
    if plan.payloads:
        await publisher.send(plan.topic, plan.payloads, plan.qos, plan.retain)
    done, held = await committed(watch, plan.device, plan.numbers, COMMIT_SECONDS)
    if not done:
        raise not_committed()
    return {"accepted": len(plan.payloads) + plan.already, "receipt": receipt(held)}


def _planned(
    database: Database, catalogue: Catalogue, device: Device, body: bytes, channel: str | None
) -> Sending:
    plan = sending(catalogue, device, split(body), channel)
    with database.read() as connection:
        known = gap_store.numbers_of(connection, device.id)
    return plan if known is None else without_committed(plan, known.numbers)
