"""Open alerts and notifications for ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring.alerts.model import Severity
from mooring.alerts.service import Alerts
from mooring.identity.actor import SYSTEM
from mooring.notify.service import Recipients

__all__ = ["AlertFigures", "NotificationFigures"]


class AlertFigures(Collector):
    """How many alerts are open, by severity."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        found = self._alerts.open_by_severity(SYSTEM)
        family = GaugeMetricFamily("mooring_alerts_open", "Open alerts.", labels=["severity"])
        for severity in Severity:
            family.add_metric([severity.word], found.get(severity, 0))
        yield family


class NotificationFigures(Collector):
    """How many notifications are under way."""

    def __init__(self, recipients: Recipients) -> None:
        self._recipients = recipients

    def collect(self) -> Iterator[Metric]:
        found = self._recipients.figures()
        for name, text, key in (
            ("notifications_waiting", "Notifications that wait for an attempt.", "waiting"),
            ("notifications_outbox", "Alerts that recipients know or are to be sent.", "outbox"),
            ("recipients_failing", "Recipients whose last attempt failed.", "failing"),
        ):
            yield GaugeMetricFamily(f"mooring_{name}", text, value=found[key])
