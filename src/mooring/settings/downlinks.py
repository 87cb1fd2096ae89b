"""Settings of messages and documents that go to devices."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["DownlinkSettings"]


class DownlinkSettings(Declared):
    """How many are kept, and for how long."""

    downlinks_max_per_device: int = setting(
        200, "Open downlinks of one device; one more is rejected.", ge=1
    )
    downlinks_max_per_tenant: int = setting(
        200_000, "Open downlinks of one tenant; one more is rejected.", ge=1
    )
    downlinks_kept_per_device: int = setting(
        100, "Finished downlinks kept of one device; the oldest go first.", ge=1
    )
    desired_max_per_device: int = setting(
        32, "Retained documents of one device; one more is rejected.", ge=1
    )
    downlink_expiry_seconds: int = setting(
        86_400,
        "How long a command is sent again to a device that is away, unless it says otherwise.",
        ge=1,
        le=31_536_000,
    )
