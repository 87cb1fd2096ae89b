"""The part traffic: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.store import schema
    from mooring.traffic import api, service

__all__ = ["PART"]

PART = Part(
    "traffic",
    routers=lambda: (api.router,),
    services=lambda: {service.Traffic: lambda app: service.Traffic(app.database)},
    tables=lambda: (schema.traffic,),
    workers=(Entry("traffic", "keeper", "notes how many messages pass"),),
)
