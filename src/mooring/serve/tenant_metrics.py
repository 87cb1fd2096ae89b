"""What tenants store, for ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring.limits.tenants import TenantLimits

__all__ = ["TenantFigures"]


class TenantFigures(Collector):
    """Bytes and limits of each tenant that stores something."""

    def __init__(self, tenants: TenantLimits) -> None:
        self._tenants = tenants

    def collect(self) -> Iterator[Metric]:
        messages, dead = self._tenants.stored()
        for name, text, found in (
            ("stored", "stored messages", messages),
            ("dead_letter", "dead letters", dead),
        ):
            used = GaugeMetricFamily(
                f"mooring_tenant_{name}_bytes", f"Bytes of {text} of a tenant.", labels=["tenant"]
            )
            most = GaugeMetricFamily(
                f"mooring_tenant_{name}_bytes_max",
                f"Limit of bytes of {text} of a tenant that has one.",
                labels=["tenant"],
            )
            for one in found:
                used.add_metric([one.tenant], one.bytes)
                if one.most:
                    most.add_metric([one.tenant], one.most)
            yield from (used, most)
