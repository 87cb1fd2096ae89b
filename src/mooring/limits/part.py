"""The part limits: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.limits import allowances, api, disconnects, tenants
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
        schema.limit_disconnects,
        schema.tenant_limits,
    ),
    workers=(
        Entry(
            "limits",
            "worker",
            "disconnects devices that exceed a limit, for a time",
            lambda app: disconnects.LimitDisconnects(app.database, app.settings).run(),
        ),
    ),
    counters=("uplink_limited", "limit_disconnects"),
    residents=lambda: {allowances.Allowances: lambda _app, _current: allowances.Allowances()},
    settings=lambda: settings.LimitSettings,
)
