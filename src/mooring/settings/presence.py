"""Settings of what is observed of connections."""

from __future__ import annotations

from typing import Literal

from mooring.settings.field import Declared, setting

__all__ = ["PresenceSettings"]


class PresenceSettings(Declared):
    """Units are in the names or descriptions."""

    broker_events_max: int = setting(
        1_000_000, "Broker events kept. The oldest are deleted first.", ge=1
    )
    presence_grace_seconds: int = setting(
        120,
        "How long devices may take to come back after a start of the platform or the broker, until "
        "they count as offline. A device with a longer keepalive has 1.5 times that.",
        ge=1,
        le=86_400,
    )
    watch_denials: Literal["auto", "on", "off"] = setting(
        "auto",
        "Whether to detect messages that the broker rejects for lack of rights. It costs the "
        "broker time, so auto does it at low message rates only.",
    )
