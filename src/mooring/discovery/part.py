"""The part discovery: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.discovery import admission, api, service, worker
    from mooring.settings import discovery as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "discovery",
    routers=lambda: (api.router,),
    scope=Scope.DEVICES,
    services=lambda: {
        admission.Admission: lambda app: admission.Admission(app.instance),
        service.Discovery: lambda app: service.Discovery(
            app.database,
            app.devices,
            app.claims,
            app.downlinks,
            app.service(admission.Admission),
            app.settings,
        ),
    },
    tables=lambda: (schema.discovery_decisions, schema.discovery_rules),
    workers=(
        Entry(
            "discovery",
            "worker",
            "answers registrations of unknown devices",
            lambda app: worker.run(app),  # noqa: PLW0108 - imported when it is called
        ),
    ),
    counters=("discovery_displaced", "discovery_unanswered"),
    settings=lambda: settings.DiscoverySettings,
    nouns=(noun("discovery"),),
)
