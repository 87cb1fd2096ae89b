"""The part telemetry: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part, noun

with later():
    from mooring.telemetry import api

__all__ = ["PART"]

PART = Part(
    "telemetry",
    routers=lambda: (api.router,),
    nouns=(
        noun("telemetry"),
        noun("dead-letter"),
    ),
)
