"""Settings of the platform about the settings of devices."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["DeviceSettingsSettings"]


class DeviceSettingsSettings(Declared):
    """How large settings of devices may be, and how many are kept."""

    device_settings_max_bytes: int = setting(
        8192, "Bytes of the merged settings of one device as JSON.", ge=64, le=32_768
    )
    device_settings_levels_max_per_tenant: int = setting(
        1000,
        "Tenant, dialects, types and groups of one tenant with settings of their own; one more "
        "is rejected.",
        ge=1,
    )
    device_settings_schemas_max_per_tenant: int = setting(
        50, "JSON Schemas of settings of one tenant; one more is rejected.", ge=1, le=1000
    )
    device_settings_versions_kept: int = setting(
        20, "Versions of the settings kept of one device; the oldest go first.", ge=1, le=1000
    )
    device_settings_per_second: int = setting(
        500,
        "Devices a second to which a change of a tenant, dialect, type or group is applied.",
        ge=1,
        le=100_000,
    )
