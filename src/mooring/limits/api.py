"""Routes of what devices and tenants may take of the broker."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mooring.devices.api import ACCEPTANCE_SECONDS
from mooring.identity.account import Quota
from mooring.limits import documents
from mooring.limits.service import VALUE_MAX, DeviceLimits
from mooring.limits.tenants import TenantLimits
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Reason, Word
from mooring.web.routing import Routes
from mooring.web.services import provided
from mooring.web.watching import Watch

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["devices"])

TenantsNow = Annotated[TenantLimits, provided(TenantLimits)]
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


class TenantValues(Document):
    """Limits of one tenant."""

    connections: int | None
    messages_per_second: int | None
    bytes_per_second: int | None
    disconnect_seconds: int | None
    stored_bytes: int | None
    dead_letter_bytes: int | None


class TenantLimitsOut(Document):
    """`own`: null is the setting, 0 no limit. `in_force`: null is no limit. `enforced`: whether
    the broker enforces connections and rates, which needs Mooring's plugin."""

    own: TenantValues
    in_force: TenantValues
    enforced: bool


class StoredOut(Document):
    """Stored messages: `bytes` are payloads and 100 for each message. `displaced_…`: what was
    deleted because of the limit. `oldest`: the day of the oldest message."""

    messages: int
    bytes: int
    oldest: str | None
    displaced_messages: int
    displaced_bytes: int
    displaced_at: str | None


class TenantStateOut(Document):
    """A tenant with its limits and what it stores."""

    name: str
    devices: int
    limits: TenantLimitsOut
    stored: StoredOut
    dead_letter_bytes: int


class TenantPatch(Document):
    """Limits to change: null is the setting, 0 no limit. Omitted values stay as they are."""

    connections: Value = None
    messages_per_second: Value = None
    bytes_per_second: Value = None
    disconnect_seconds: Value = None
    stored_bytes: Value = None
    dead_letter_bytes: Value = None
    reason: Reason = ""


class TenantChanged(TenantStateOut):
    applied_by_broker: bool


@router.get("/tenants/{tenant}", response_model=TenantStateOut)
def show_tenant(tenants: TenantsNow, who: Who, tenant: Word) -> dict[str, Any]:
    """Returns a tenant with its limits and what it stores."""
    return documents.tenant(tenants.show(who, tenant))


@router.patch("/tenants/{tenant}", response_model=TenantChanged)
async def change_tenant(
    *, tenants: TenantsNow, who: Who, watch: Watch, tenant: Word, new: TenantPatch
) -> dict[str, Any]:
    """Changes limits of a tenant. Needs a login without a tenant."""
    given = new.model_dump(include=new.model_fields_set - {"reason"})
    found, changes = await run_in_threadpool(tenants.change, who, tenant, given, reason=new.reason)
    applied = await watch.applied(changes, ACCEPTANCE_SECONDS)
    return {**documents.tenant(found), "applied_by_broker": applied}


def _given(new: LimitsIn) -> Quota:
    return Quota(new.connections, new.messages, new.bytes)
