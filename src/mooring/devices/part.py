"""The part devices: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun

with later():
    from mooring.devices import api
    from mooring.devices.attributes import api as attributes_api
    from mooring.settings import devices as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "devices",
    routers=lambda: (api.router, attributes_api.router),
    scope=Scope.DEVICES,
    tables=lambda: (
        schema.tenants,
        schema.devices,
        schema.device_attributes,
        schema.device_changes,
        schema.credentials,
        schema.former_verifiers,
    ),
    counters=(
        "device_logins_refused",
        "device_logins_throttled",
    ),
    settings=lambda: settings.DeviceSettings,
    nouns=(
        noun(
            "device",
            "rotate",
            "gaps",
            "why",
            "downlinks",
            "device_limits",
            "device_set",
            "device_settings",
            "command",
            "presence",
        ),
        noun("tenant", "tenant_limits"),
    ),
)
