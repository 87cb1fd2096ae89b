"""Settings of notifications."""

from __future__ import annotations

from pathlib import Path

from mooring.settings.field import Declared, setting

__all__ = ["NotifySettings"]

SCHEMES = (
    "mailto",
    "mailtos",
    "slack",
    "discord",
    "msteams",
    "workflows",
    "tgram",
    "ntfys",
    "gotifys",
    "mmosts",
    "matrixs",
    "pover",
    "pagerduty",
    "opsgenie",
    "signals",
    "twilio",
)


class NotifySettings(Declared):
    """Recipients, allowed services, and how much is kept."""

    recipients_max_per_tenant: int = setting(
        20, "Recipients of notifications of one tenant; one more is rejected.", ge=1, le=1000
    )
    notifications_waiting_max_per_recipient: int = setting(
        100,
        "Notifications of one recipient that wait for an attempt. With more, alerts wait in the "
        "outbox.",
        ge=1,
        le=10_000,
    )
    notifications_kept_per_recipient: int = setting(
        200, "Finished notifications kept of one recipient; the oldest go first.", ge=1, le=10_000
    )
    notify_schemes: tuple[str, ...] = setting(
        SCHEMES, "Schemes of Apprise that recipients may use."
    )
    notify_ca_file: Path | None = setting(
        None,
        "PEM file with further certificate authorities that receivers of notifications may have. "
        "Default: those of the system.",
    )
