"""Settings of sequence numbers."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["SequenceSettings"]


class SequenceSettings(Declared):
    """Units are in the names or descriptions."""

    gap_seconds: float = setting(
        60.0, "Time after which a missing sequence number is requested from the device.", gt=0
    )
