"""The part downlink: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.downlink import api
    from mooring.settings import downlinks as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "downlink",
    routers=lambda: (api.router,),
    scope=Scope.COMMANDS,
    tables=lambda: (schema.downlinks, schema.desired),
    workers=(
        Entry("downlinks", "worker", "sends messages and documents to devices"),
        Entry("dialects", "worker", "follows changes of dialects"),
    ),
    counters=(
        "downlinks_sent",
        "downlinks_confirmed",
        "downlinks_unheard",
        "downlinks_expired",
        "downlinks_cancelled",
        "downlinks_failed",
        "desired_published",
        "desired_cleared",
    ),
    settings=lambda: settings.DownlinkSettings,
)
