"""How long things are kept."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["RetentionSettings"]


class RetentionSettings(Declared):
    """Units are in the names or descriptions."""

    records_days: int = setting(
        400,
        "Days to keep finished records: claim codes, rotations, downlinks, API keys, certificates.",
        ge=1,
        le=36_500,
    )
    retention_days: int = setting(400, "Days to keep messages. 0: indefinitely.", ge=0, le=36_500)
    retention_minutes_days: int = setting(
        400, "Days to keep one-minute roll-ups. 0: indefinitely.", ge=0, le=36_500
    )
    retention_rollups_days: int = setting(
        1830, "Days to keep hourly and daily roll-ups. 0: indefinitely.", ge=0, le=36_500
    )
