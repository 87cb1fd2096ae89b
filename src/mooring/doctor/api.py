"""Routes of diagnosis."""

from __future__ import annotations

from typing import Annotated, Any

from mooring.doctor import documents
from mooring.doctor.service import Diagnosis
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Time
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["WhyOut", "router"]

router = Routes(prefix="/api/v1/devices", tags=["devices"])

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


@router.get("/{device}/why", response_model=WhyOut)
def device_why(diagnosis: DiagnosisNow, who: Who, device: DeviceReference) -> dict[str, Any]:
    """Diagnoses why a device cannot connect, or why no data arrives from it: a verdict, its "
    "evidence, and what to do next."""
    return documents.diagnosis(diagnosis.why(who, device))
