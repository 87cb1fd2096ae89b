"""The part limits: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part

with later():
    from mooring.limits import allowances, api, tenants
    from mooring.settings import limits as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "limits",
    routers=lambda: (api.router,),
    scope=Scope.DEVICES,
    scopes={
        "PUT /api/v1/tenants/{tenant}/limits": Scope.ADMIN,
        "PATCH /api/v1/tenants/{tenant}": Scope.ADMIN,
    },
    services=lambda: {
        tenants.TenantLimits: lambda app: tenants.TenantLimits(
            app.database, app.limits, app.settings
        ),
    },
    tables=lambda: (
        schema.device_limits,
        schema.tenant_limits,
    ),
    counters=("uplink_limited",),
    residents=lambda: {allowances.Allowances: lambda _app, _current: allowances.Allowances()},
    settings=lambda: settings.LimitSettings,
)
