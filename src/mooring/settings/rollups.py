"""Settings of roll-ups."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["RollupSettings"]


class RollupSettings(Declared):
    """Units are in the names or descriptions."""

    metrics_max_per_device: int = setting(
        256, "Maximum metrics of one device in roll-ups. Values of further ones are counted.", ge=1
    )
