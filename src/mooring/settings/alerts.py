"""Settings of rules and alerts."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["AlertSettings"]


class AlertSettings(Declared):
    """How many rules and alerts there may be, and when the platform raises its own."""

    rules_max_per_tenant: int = setting(
        200, "Rules of one tenant; one more is rejected.", ge=1, le=10_000
    )
    alerts_open_max_per_device: int = setting(
        50, "Open alerts of one device; one more is counted and not raised.", ge=1, le=10_000
    )
    alerts_open_max_per_tenant: int = setting(
        10_000, "Open alerts of one tenant; one more is counted and not raised.", ge=1
    )
    alerts_kept_per_device: int = setting(
        200, "Cleared alerts kept of one device; the oldest go first.", ge=1, le=10_000
    )
    alert_refused_logins: int = setting(
        10, "Rejected logins of a device in 10 minutes that raise an alert.", ge=1
    )
    alert_limited_sessions: int = setting(
        3, "Sessions of a device ended for a limit in 10 minutes that raise an alert.", ge=1
    )
    alert_denied_publishes: int = setting(
        10, "Denied messages of a device in 10 minutes that raise an alert.", ge=1
    )
    alert_gap_seconds: int = setting(
        900, "Seconds a gap in a device's numbers may be open before it raises an alert.", ge=60
    )
    alert_dead_letters: int = setting(1000, "Dead letters in 10 minutes that raise an alert.", ge=1)
    alert_days_before_expiry: int = setting(
        14, "Days before the end of a certificate at which an alert is raised.", ge=1, le=400
    )
    alert_disk_percent: int = setting(
        10, "Percentage of free disk space below which an alert is raised.", ge=1, le=90
    )
    alert_backlog_messages: int = setting(
        500_000, "Stored messages waiting for roll-ups or rules that raise an alert.", ge=1000
    )
