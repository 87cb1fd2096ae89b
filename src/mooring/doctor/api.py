"""Routes of diagnosis."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from mooring.doctor.service import Diagnosed, Diagnosis
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Time
from mooring.web.services import provided

__all__ = ["WhyOut", "document", "router"]

router = APIRouter(prefix="/api/v1/devices", tags=["devices"])

DiagnosisNow = Annotated[Diagnosis, provided(Diagnosis)]


class EvidenceOut(Document):
    """One piece of evidence for a verdict."""

    at: Time | None
    text: str


class WhyOut(Document):
    """Why a device cannot connect, or why no data arrives from it. `code` is stable."""

    username: str
    device: str | None
    tenant: str | None
    well: bool
    code: str
    summary: str
    next_step: str
    evidence: list[EvidenceOut]


def document(found: Diagnosed) -> dict[str, Any]:
    """A verdict as CLI and REST show it; times are epoch milliseconds."""
    verdict = found.verdict
    return {
        "username": found.username,
        "device": found.device.name if found.device else None,
        "tenant": found.device.tenant if found.device else None,
        "well": verdict.well,
        "code": str(verdict.code),
        "summary": verdict.summary,
        "next_step": verdict.next_step,
        "evidence": [{"at": one.at, "text": one.text} for one in verdict.evidence],
    }


@router.get("/{device}/why", response_model=WhyOut)
def device_why(diagnosis: DiagnosisNow, who: Who, device: DeviceReference) -> dict[str, Any]:
    """Diagnoses why a device cannot connect, or why no data arrives from it: a verdict, its "
    "evidence, and what to do next."""
    return document(diagnosis.why(who, device))
