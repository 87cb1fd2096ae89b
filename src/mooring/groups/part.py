"""The part groups: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun

with later():
    from mooring.groups import api, service
    from mooring.settings import groups as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "groups",
    routers=lambda: (api.router,),
    scope=Scope.DEVICES,
    services=lambda: {
        service.Groups: lambda app: service.Groups(app.database, app.devices, app.settings),
    },
    tables=lambda: (schema.groups, schema.device_groups),
    settings=lambda: settings.GroupSettings,
    nouns=(noun("group", "group_members"),),
)
