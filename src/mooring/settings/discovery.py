"""Settings of unknown devices and what is decided about them."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["DiscoverySettings"]


class DiscoverySettings(Declared):
    """Units are in the names or descriptions."""

    discovery_max_per_tenant: int = setting(
        1000, "Unknown devices listed of one tenant. The oldest are removed first.", ge=2
    )
    discovery_rules_max_per_tenant: int = setting(100, "Discovery rules of one tenant.", ge=1)
    discovery_refused_hours: int = setting(
        24, "How long a refused device is not listed and not asked about again.", ge=1, le=8760
    )
