"""The part fleet: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part

with later():
    from mooring.fleet import api, kept, service

__all__ = ["PART"]

PART = Part(
    "fleet",
    routers=lambda: (api.router,),
    services=lambda: {
        service.DeviceLists: lambda app: service.DeviceLists(app.database),
    },
    residents=lambda: {kept.KeptMaps: lambda _app, _current: kept.KeptMaps()},
)
