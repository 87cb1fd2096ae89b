"""The part doctor: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part

with later():
    from mooring.doctor import api

__all__ = ["PART"]

PART = Part(
    "doctor",
    routers=lambda: (api.router,),
)
