"""Settings of groups."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["GroupSettings"]


class GroupSettings(Declared):
    """Units are in the names or descriptions."""

    groups_max_per_tenant: int = setting(1000, "Maximum groups of one tenant.", ge=1, le=100_000)
