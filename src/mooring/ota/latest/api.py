"""Routes of announcements."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path

from mooring.ota.latest.documents import AnnounceIn, AnnouncementOut, AnnouncementsOut, document
from mooring.ota.latest.service import Announcements
from mooring.web.auth import Who
from mooring.web.fields import Reason
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["rollouts"])

AnnouncementsNow = Annotated[Announcements, provided(Announcements)]
Number = Annotated[int, Path(alias="rollout", ge=1, le=2**63 - 1)]


@router.get("/firmware-latest", response_model=PageOf[AnnouncementOut])
def list_announcements(
    announcements: AnnouncementsNow, who: Who, paging: PagingDep
) -> PageOf[dict[str, Any]]:
    """Lists what was announced to every device, the newest first."""
    key = paging.key(int)
    found = announcements.listed(
        who, limit=paging.limit + 1, before=None if key is None else int(key[0])
    )
    return paging.cut([document(one) for one in found], lambda item: (item["number"],))


@router.post("/rollouts/{rollout}/announce", response_model=AnnouncementsOut)
def announce_release(
    announcements: AnnouncementsNow, who: Who, number: Number, given: AnnounceIn
) -> dict[str, Any]:
    """Announces the release of a rollout to every device of every tenant that speaks the dialects
    in which it was proved, after the last gate."""
    made = announcements.announce(
        who, number, force_hardware=given.force_hardware, reason=given.reason
    )
    return {"items": [document(one) for one in made]}


@router.post("/rollouts/{rollout}/retract", response_model=AnnouncementsOut)
def retract_release(
    announcements: AnnouncementsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Takes the announcement of a rollout's release back: its topics are cleared, and its links
    end."""
    return {"items": [document(one) for one in announcements.retract(who, number, reason=reason)]}
