"""The part devices: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun

with later():
    from mooring.devices import api
    from mooring.devices.attributes import api as attributes_api
    from mooring.devices.keys import api as keys_api
    from mooring.devices.keys import service as keys_service
    from mooring.settings import devices as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "devices",
    routers=lambda: (keys_api.router, api.router, attributes_api.router),
    scope=Scope.DEVICES,
    services=lambda: {
        keys_service.DeviceKeys: lambda app: keys_service.DeviceKeys(
            app.database, app.devices, app.settings
        ),
    },
    tables=lambda: (
        schema.tenants,
        schema.devices,
        schema.device_attributes,
        schema.device_changes,
        schema.credentials,
        schema.device_keys,
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
            "device_key",
            "device_set",
            "device_settings",
            "command",
            "presence",
        ),
        noun("tenant", "tenant_limits", "tenant_set"),
    ),
)
