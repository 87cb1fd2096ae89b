"""Certificates in ``/metrics``: days left, devices by level, what is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring.app import App
from mooring.pki.fleet.service import Health

__all__ = ["CertificateFigures"]

KEPT_SECONDS = 30.0


class CertificateFigures(Collector):
    """Looks at most twice a minute: nothing here changes faster, and it reads the whole ledger."""

    def __init__(self, platform: App, *, kept_seconds: float = KEPT_SECONDS) -> None:
        self._platform = platform
        self._kept_seconds = kept_seconds
        self._lock = threading.Lock()
        self._found: Health | None = None
        self._looked_at = 0.0

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not read files and the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        found = self.health()
        yield GaugeMetricFamily(
            "mooring_certificate_problems",
            "Current problems with certificates; `mooring status` lists them.",
            value=len(found.problems),
        )
        if found.report is None:
            return
        left = GaugeMetricFamily(
            "mooring_certificate_days_left",
            "Whole days until a certificate of the platform expires; negative after that.",
            labels=["certificate"],
        )
        for each in found.report.platform:
            left.add_metric([each.name], each.days_left)
        yield left
        devices = GaugeMetricFamily(
            "mooring_device_certificates",
            "Devices with a certificate, by time until it expires.",
            labels=["level"],
        )
        for level, count in found.report.devices.items():
            devices.add_metric([str(level)], count)
        yield devices

    def health(self, *, again: bool = False) -> Health:
        """As of the last look; the dashboard shows it, too.

        Args:
            again: something was changed since then.
        """
        with self._lock:
            now = time.monotonic()
            if again or self._found is None or now - self._looked_at > self._kept_seconds:
                self._found = self._platform.certificates.health(self._platform.settings)
                self._looked_at = now
            return self._found
