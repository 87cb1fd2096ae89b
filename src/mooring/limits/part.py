"""The part limits: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part

with later():
    from mooring.limits import api
    from mooring.settings import limits as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "limits",
    routers=lambda: (api.router,),
    scope=Scope.DEVICES,
    scopes={
        "PUT /api/v1/tenants/{tenant}/limits": Scope.ADMIN,
    },
    tables=lambda: (
        schema.device_limits,
        schema.tenant_limits,
    ),
    settings=lambda: settings.LimitSettings,
)
