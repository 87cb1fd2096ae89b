"""Open alerts for ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring.alerts.model import Severity
from mooring.alerts.service import Alerts
from mooring.identity.actor import SYSTEM

__all__ = ["AlertFigures"]


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
