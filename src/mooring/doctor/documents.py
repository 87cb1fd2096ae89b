"""What the command line and HTTP answer of a diagnosis. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.dialects.times import iso_or_none
from mooring.doctor.service import Diagnosed

__all__ = ["diagnosis"]


def diagnosis(found: Diagnosed) -> dict[str, Any]:
    """A verdict and its evidence."""
    verdict = found.verdict
    return {
        "username": found.username,
        "device": found.device.name if found.device else None,
        "tenant": found.device.tenant if found.device else None,
        "well": verdict.well,
        "code": str(verdict.code),
        "summary": verdict.summary,
        "next_step": verdict.next_step,
        "evidence": [{"at": iso_or_none(one.at), "text": one.text} for one in verdict.evidence],
    }
