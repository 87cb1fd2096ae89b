"""The part sequences: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.sequences import api, projection
    from mooring.settings import sequences as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "sequences",
    routers=lambda: (api.router,),
    tables=lambda: (schema.sequences,),
    projections=lambda app: (projection.SequenceNumbers(),),
    workers=(Entry("gaps", "ingest", "requests missing numbers from devices"),),
    settings=lambda: settings.SequenceSettings,
)
