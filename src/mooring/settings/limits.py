"""What devices and tenants may take of the broker."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["DEVICE_BYTES_PER_SECOND", "LimitSettings"]

DEVICE_BYTES_PER_SECOND = 2_000_000
"""Where the plugin keeps it and nothing else is set: more than a device has to say, and less than
ingest stores."""


class LimitSettings(Declared):
    """Units are in the names or descriptions."""

    device_connections_max: int = setting(
        0, "Maximum connections of one device, with Mooring's plugin. 0: no limit.", ge=0
    )
    device_messages_per_second: int = setting(
        0, "Maximum messages that one device may publish, with the plugin. 0: no limit.", ge=0
    )
    device_bytes_per_second: int | None = setting(
        None,
        "Maximum bytes of topics and payloads of one device. Empty: 2,000,000 with the plugin, "
        "which rejects what is more before it is acknowledged, otherwise no limit. 0: no limit.",
        ge=0,
    )
    tenant_connections_max: int = setting(
        0, "Maximum connections of all devices of one tenant, with the plugin. 0: no limit.", ge=0
    )
    tenant_messages_per_second: int = setting(
        0, "Maximum messages of all devices of one tenant, with the plugin. 0: no limit.", ge=0
    )
    tenant_bytes_per_second: int = setting(
        0, "Maximum bytes of all devices of one tenant, with the plugin. 0: no limit.", ge=0
    )
    limit_disconnect_seconds: int = setting(
        0,
        "How long a device that exceeds a limit is disconnected and rejected. 0: it may come back "
        "as soon as it may send again.",
        ge=0,
        le=2_592_000,
    )
    tenant_stored_bytes_max: int = setting(
        0, "Bytes of stored messages of one tenant; its oldest go first. 0: no limit.", ge=0
    )
    tenant_dead_letter_bytes_max: int = setting(
        268_435_456, "Bytes of payload in dead letters of one tenant. 0: no limit.", ge=0
    )
