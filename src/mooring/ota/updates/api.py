"""Routes of firmware updates."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query

from mooring.ota.updates.documents import States, UpdateIn, UpdateOut, document
from mooring.ota.updates.model import Options, State
from mooring.ota.updates.service import Updates
from mooring.web.auth import Who
from mooring.web.fields import Reason
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/firmware-updates", tags=["firmware"])

UpdatesNow = Annotated[Updates, provided(Updates)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
_PLAIN = r"^[^\x00-\x1f\x7f]*$"


@router.post("", status_code=202, response_model=UpdateOut)
def offer_firmware(updates: UpdatesNow, who: Who, given: UpdateIn) -> dict[str, Any]:
    """Offers a release to one device. It is handed over when the device is connected and
    subscribed."""
    expires = given.expires_seconds
    options = Options(
        force_downgrade=given.force_downgrade,
        force_hardware=given.force_hardware,
        artifact=given.artifact,
        expires_ms=None if expires is None else int(expires * 1000),
        reason=given.reason,
    )
    return document(updates.offer(who, given.device, given.release, options))


@router.get("", response_model=PageOf[UpdateOut])
def list_updates(
    *,
    updates: UpdatesNow,
    who: Who,
    paging: PagingDep,
    device: Annotated[
        str | None,
        Query(max_length=300, pattern=_PLAIN, description="Only updates of this device."),
    ] = None,
    release: Annotated[
        str | None,
        Query(max_length=200, pattern=_PLAIN, description="Only updates to this release."),
    ] = None,
    job: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Only updates of this job.")
    ] = None,
    states: Annotated[
        list[States] | None, Query(alias="state", description="Only these states.")
    ] = None,
) -> PageOf[dict[str, Any]]:
    """Lists firmware updates, the newest first."""
    key = paging.key(int)
    rows = updates.listed(
        who,
        device=device,
        release=release,
        job=job,
        states=[State(one) for one in states or ()],
        limit=paging.limit + 1,
        before=None if key is None else int(key[0]),
    )
    return paging.cut([document(one, log=False) for one in rows], lambda item: (item["number"],))


@router.get("/{number}", response_model=UpdateOut)
def show_update(updates: UpdatesNow, who: Who, number: Number) -> dict[str, Any]:
    """Returns a firmware update with its states, the device's words and its log."""
    return document(updates.get(who, number))


@router.post("/{number}/cancel", response_model=UpdateOut)
def cancel_update(
    updates: UpdatesNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Cancels an update that the device has not begun. A device that downloads is asked to stop,
    and has 10 minutes; one that installs is not stopped."""
    return document(updates.stop(who, number, reason=reason))
