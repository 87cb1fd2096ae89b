"""Routes of what devices and tenants may take of the broker."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mooring.devices.api import ACCEPTANCE_SECONDS
from mooring.identity.account import Quota
from mooring.limits import documents
from mooring.limits.service import VALUE_MAX, DeviceLimits
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Reason, Word
from mooring.web.services import provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["devices"])

LimitsNow = Annotated[DeviceLimits, provided(DeviceLimits)]

Value = Annotated[int, Field(ge=0, le=VALUE_MAX)] | None


class QuotaOut(Document):
    """Maximum connections, and maximum published messages and bytes (topics and payloads) per "
    "second."""

    connections: int | None
    messages: int | None
    bytes: int | None


class LimitsIn(Document):
    """Own values: null for the setting, 0 for no limit. Omitted values are null."""

    connections: Value = None
    messages: Value = None
    bytes: Value = None
    reason: Reason = ""


class LimitsOut(Document):
    """`own`: null is the setting, 0 no limit. `in_force`: null is no limit. `enforced`: whether "
    "the broker enforces limits, which needs Mooring's plugin."""

    tenant: str
    device: str | None
    own: QuotaOut
    in_force: QuotaOut
    enforced: bool


class LimitsChanged(LimitsOut):
    applied_by_broker: bool


@router.get("/devices/{device}/limits", response_model=LimitsOut)
def device_limits(limits: LimitsNow, who: Who, device: DeviceReference) -> dict[str, Any]:
    """Returns the broker limits of a device."""
    known, found = limits.of_device(who, device)
    return documents.limits(known.tenant, known.name, found)


@router.put("/devices/{device}/limits", response_model=LimitsChanged)
async def set_device_limits(
    *, limits: LimitsNow, who: Who, watch: Watch, device: DeviceReference, new: LimitsIn
) -> dict[str, Any]:
    """Replaces the device's own limits."""
    known, found, changes = await run_in_threadpool(
        limits.set_of_device, who, device, _given(new), reason=new.reason
    )
    applied = await watch.applied(changes, ACCEPTANCE_SECONDS)
    return {**documents.limits(known.tenant, known.name, found), "applied_by_broker": applied}


@router.get("/tenants/{tenant}/limits", response_model=LimitsOut)
def tenant_limits(limits: LimitsNow, who: Who, tenant: Word) -> dict[str, Any]:
    """Returns the broker limits of all devices of a tenant together."""
    return documents.limits(tenant, None, limits.of_tenant(who, tenant))


@router.put("/tenants/{tenant}/limits", response_model=LimitsChanged)
async def set_tenant_limits(
    *, limits: LimitsNow, who: Who, watch: Watch, tenant: Word, new: LimitsIn
) -> dict[str, Any]:
    """Replaces the tenant's own limits. Needs a login without a tenant."""
    found, changes = await run_in_threadpool(
        limits.set_of_tenant, who, tenant, _given(new), reason=new.reason
    )
    applied = await watch.applied(changes, ACCEPTANCE_SECONDS)
    return {**documents.limits(tenant, None, found), "applied_by_broker": applied}


def _given(new: LimitsIn) -> Quota:
    return Quota(new.connections, new.messages, new.bytes)
