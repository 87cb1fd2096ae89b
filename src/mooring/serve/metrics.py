"""``/metrics`` for Prometheus: the platform's counters, devices, processes, this process."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from prometheus_client import CollectorRegistry, Counter, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from mooring import clock
from mooring.identity.actor import SYSTEM, Role
from mooring.telemetry.model import ProcessInfo
from mooring.telemetry.service import Telemetry
from mooring.web.auth import bearer, from_this_machine, key_header, who
from mooring.web.routing import Routes
from mooring.web.services import Platform, now

__all__ = ["Figures", "new_registry", "router"]

router = Routes(tags=["health"])

_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


class Figures(Collector):
    """The database's figures at the time of asking."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        overview = self._telemetry.overview(SYSTEM)
        for name, value in overview.counters.items():
            word = _NOT_A_NAME.sub("_", name)
            yield CounterMetricFamily(f"mooring_{word}", f"Counter {name}.", value=value)
        for name, text, value in (
            ("devices", "Devices.", overview.devices),
            ("devices_online", "Devices reporting online.", overview.online),
            ("devices_connected", "Devices connected to the broker.", overview.connected),
            ("strangers", "Unknown devices.", overview.strangers),
            ("downlinks_open", "Messages to devices that are not over.", overview.downlinks_open),
            (
                "broker_changes_pending",
                "Pending changes of accounts on the broker.",
                overview.broker_changes_pending,
            ),
        ):
            yield GaugeMetricFamily(f"mooring_{name}", text, value=value)
        yield GaugeMetricFamily(
            "mooring_clock_off_seconds",
            "Deviation of this machine's clock from the time that Mooring counts.",
            value=round((clock.read().wall - clock.now_ms()) / 1000),
        )
        alive = GaugeMetricFamily(
            "mooring_process_up",
            "1 for a process that reported recently.",
            labels=["name", "role"],
        )
        for process in overview.processes:
            alive.add_metric([process.name, process.role], float(process.alive))
        yield alive
        yield from _of_workers(overview.processes)


def _of_workers(processes: Sequence[ProcessInfo]) -> Iterator[Metric]:
    labels = ["name", "role", "worker"]
    up = GaugeMetricFamily(
        "mooring_worker_up", "0 for a worker that failed and waits to run again.", labels=labels
    )
    failures = CounterMetricFamily(
        "mooring_worker_failures", "Failures of a worker since its process started.", labels=labels
    )
    rows = CounterMetricFamily(
        "mooring_worker_row_failures", "Failures of single rows in a worker.", labels=labels
    )
    postponed = GaugeMetricFamily(
        "mooring_worker_rows_postponed", "Rows that failed and will be retried.", labels=labels
    )
    for process in processes:
        for worker in process.workers if process.alive else ():
            values = [process.name, process.role, worker.name]
            up.add_metric(values, float(worker.phase != "waiting"))
            failures.add_metric(values, float(worker.failures))
            rows.add_metric(values, float(worker.row_failures))
            postponed.add_metric(values, float(worker.rows_postponed))
    yield from (up, failures, rows, postponed)


def new_registry(telemetry: Telemetry) -> tuple[CollectorRegistry, Counter]:
    """What ``/metrics`` shows, and the counter of answers for the guard."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    answered = Counter(
        "mooring_http_requests",
        "Requests answered by this process.",
        ["method", "status"],
        registry=registry,
    )
    registry.register(Figures(telemetry))
    return registry, answered


@router.get("/metrics", response_class=Response)
def metrics(
    request: Request,
    platform: Annotated[Platform, Depends(now)],
    token: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(key_header)],
) -> Response:
    """Figures in Prometheus' text format. From other machines it needs an API key."""
    if not from_this_machine(request):
        who(request, platform, token, key).require(Role.VIEWER, None)
    return Response(
        generate_latest(request.app.state.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )
