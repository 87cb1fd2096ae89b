"""Routes of the gap ledger."""

from __future__ import annotations

from typing import Annotated, Any

from mooring.devices.service import Devices
from mooring.identity.actor import Role
from mooring.sequences import documents
from mooring.sequences import store as gap_store
from mooring.sequences.numbers import Numbers
from mooring.sequences.store import DeviceNumbers
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Time
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import DatabaseNow, provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["telemetry"])

DevicesNow = Annotated[Devices, provided(Devices)]


class GapsOut(Document):
    """Stored and missing sequence numbers of a device."""

    device: str
    tenant: str
    upto: int
    highest: int
    missing: list[tuple[int, int]]
    lost: int
    gap_since: Time | None
    asked_at: Time | None


@router.get("/gaps", response_model=PageOf[GapsOut])
def all_gaps(database: DatabaseNow, who: Who, paging: PagingDep) -> PageOf[dict[str, Any]]:
    """Lists devices with missing numbered readings."""
    who.require(Role.VIEWER, who.tenant)
    (after,) = paging.key(int) or (0,)
    with database.read() as connection:
        found = gap_store.with_gaps(connection, who, limit=paging.limit + 1, after=int(after))
    ids = {(one.tenant, one.name): one.device_id for one in found}
    return paging.cut(
        [documents.numbers(one) for one in found],
        lambda item: (ids[item["tenant"], item["device"]],),
    )


@router.get("/devices/{device}/gaps", response_model=GapsOut)
def gaps_of(
    devices: DevicesNow, database: DatabaseNow, who: Who, device: DeviceReference
) -> dict[str, Any]:
    """Returns the sequence numbers of a device: complete up to, missing, given up."""
    known = devices.get(who, device)
    with database.read() as connection:
        found = gap_store.numbers_of(connection, known.id)
    if found is None:
        found = DeviceNumbers(known.id, known.tenant, known.name, Numbers(), None, None)
    return documents.numbers(found)
