"""The part uplink: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part

with later():
    from mooring.uplink import api

__all__ = ["PART"]

PART = Part(
    "uplink",
    routers=lambda: (api.router,),
)
