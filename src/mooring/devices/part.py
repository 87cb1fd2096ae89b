"""The part devices: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part, noun

with later():
    from mooring.devices import api
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "devices",
    routers=lambda: (api.router,),
    tables=lambda: (
        schema.tenants,
        schema.devices,
        schema.device_groups,
        schema.credentials,
        schema.former_verifiers,
    ),
    counters=(
        "device_logins_refused",
        "device_logins_throttled",
    ),
    settings=(
        "tenants_max",
        "devices_max_per_tenant",
        "recover_days",
        "device_login_attempts_per_minute",
    ),
    nouns=(
        noun("device", "rotate", "gaps", "why", "downlinks", "device_limits"),
        noun("tenant", "tenant_limits"),
    ),
)
