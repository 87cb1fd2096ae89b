"""The part publish: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.commands import service as commands
    from mooring.jobs import service as jobs
    from mooring.publish import api, broadcast, fleet

__all__ = ["PART"]

PART = Part(
    "publish",
    routers=lambda: (api.router,),
    scope=Scope.COMMANDS,
    scopes={
        "POST /api/v1/mqtt/subscribe": Scope.READ,
        "POST /api/v1/mqtt/topics/validate": Scope.READ,
    },
    services=lambda: {
        broadcast.Broadcasts: lambda app: broadcast.Broadcasts(
            app.database, app.devices, app.downlinks
        ),
        fleet.FleetCommands: lambda app: fleet.FleetCommands(
            app.database, app.service(commands.Commands), app.service(jobs.Jobs)
        ),
    },
    workers=(Entry("publisher", "serve", "keeps the connection on which commands are sent"),),
)
