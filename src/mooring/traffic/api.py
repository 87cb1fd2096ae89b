"""Routes of messages over time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from mooring.store.engine import now_ms
from mooring.traffic.model import MINUTE_MS
from mooring.traffic.service import STEPS_MAX, Traffic
from mooring.web.auth import Who
from mooring.web.fields import Document, Time
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["system"])

TrafficNow = Annotated[Traffic, provided(Traffic)]


class StepOut(Document):
    """Messages between two times. Null: not known."""

    start: Time
    end: Time
    received: int | None
    sent: int | None
    rejected: int | None


class TrafficOut(Document):
    step_seconds: int
    steps: list[StepOut] = Field(description="The oldest first.")


@router.get("/traffic", response_model=TrafficOut)
def traffic(
    traffic: TrafficNow,
    who: Who,
    step_minutes: Annotated[int, Query(ge=1, le=1440, description="Length of a step.")] = 60,
    steps: Annotated[int, Query(ge=1, le=STEPS_MAX, description="Number of steps.")] = 24,
) -> dict[str, Any]:
    """Counts messages that were received, sent and rejected, in steps up to now. Minutes are known
    for two days, hours for 400 days. Needs a login without a tenant."""
    step = step_minutes * MINUTE_MS
    start = now_ms() // MINUTE_MS * MINUTE_MS - steps * step
    found = traffic.over_time(who, start, step, steps)
    return {"step_seconds": step // 1000, "steps": [one._asdict() for one in found]}
