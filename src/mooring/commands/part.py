"""The part commands: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.commands import api, changes, jobs, projection, service
    from mooring.settings import commands as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "commands",
    routers=lambda: (api.router,),
    scope=Scope.COMMANDS,
    services=lambda: {
        service.Commands: lambda app: service.Commands(
            app.database, app.devices, app.downlinks, app.settings
        ),
    },
    tables=lambda: (schema.commands,),
    projections=lambda app: (
        projection.CommandReplies(changes.Waits(app.settings.command_unconfirmed_seconds * 1000)),
    ),
    jobs=lambda app: (jobs.CommandJobs(app.service(service.Commands)),),
    workers=(Entry("commands", "worker", "moves commands with time and connections"),),
    counters=(
        "commands_sent",
        "commands_done",
        "commands_failed",
        "commands_rejected",
        "commands_timed_out",
        "commands_unconfirmed",
        "commands_expired",
        "commands_cancelled",
    ),
    settings=lambda: settings.CommandSettings,
    nouns=(noun("command"),),
)
