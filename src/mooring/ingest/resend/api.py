"""Route that reads dead letters again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mooring.errors import Invalid
from mooring.ingest.resend.model import RESEND_MAX, Outcome
from mooring.ingest.resend.service import Resending
from mooring.web.auth import Who
from mooring.web.fields import Document, Line, Word
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/dead-letters", tags=["telemetry"])

ResendingNow = Annotated[Resending, provided(Resending)]
Number = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Matching(Document):
    """Dead letters that match, the oldest first."""

    reason: Word | None = Field(None, description="Only this reason, such as `not_json`.")
    device: Line | None = Field(None, description="Only this device.")
    after: Number = Field(0, description="Continue after the dead letter with this number.")


class ResendIn(Document):
    """Which dead letters: some by number, or all that match."""

    ids: list[Number] | None = Field(None, min_length=1, max_length=RESEND_MAX)
    matching: Matching | None = None


class TriedOut(Document):
    """What became of one dead letter."""

    id: int
    outcome: Outcome = Field(
        description="`stored`; `duplicate`: the device had sent it again, and that was stored; "
        "`rejected`: it stays a dead letter; `not_found`."
    )
    reason: str = Field(description="Why it is rejected now; empty otherwise.")
    detail: str
    topic: str


class ResentOut(Document):
    """The outcome of each, in the order in which the messages came."""

    results: list[TriedOut]
    stored: int
    rejected: int
    next_after: int | None = Field(
        description="More match: pass it as `after` of the next request."
    )


@router.post("/resend", response_model=ResentOut)
def resend(resending: ResendingNow, who: Who, given: ResendIn) -> dict[str, Any]:
    """Reads dead letters again, after a dialect or a device was changed, and stores the messages
    that can be stored now, with the time at which they arrived."""
    if (given.ids is None) is (given.matching is None):
        raise Invalid(
            "Name dead letters by number, or those that match.",
            hint="Give either ids or matching.",
            code="nothing_to_resend",
        )
    if given.matching is None:
        found = resending.ids(who, given.ids or ())
    else:
        matching = given.matching
        found = resending.matching(
            who, reason=matching.reason, device=matching.device, after=matching.after
        )
    return {
        "results": [one._asdict() for one in found.tried],
        "stored": found.count(Outcome.STORED),
        "rejected": found.count(Outcome.REJECTED),
        "next_after": found.next_after,
    }
