"""What one more device costs an ingest that knows many: the longest pause, and what follows.

The database holds a fleet, an ingest has read it and resolved a topic of each device. Then
devices are added, one at a time, as an operator does. The pause is the time in which ingest takes
no message: from noticing the change to being able to plan again. Topics resolved again are those
that ingest had remembered and forgot.

Then all accounts are compared with the file that the broker's plugin reads, which has them as they
are.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

from mooring.app import App, open_app
from mooring.broker.plugin_file import AccountsFile
from mooring.bulk.model import Entry
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.ingest.service import Ingest
from mooring.ingest.sinks import open_sink
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint
from mooring.run.process import collect_rarely
from mooring.run.projections import projections_of
from mooring.settings import Settings
from mooring.wiring.broker import service_account

__all__ = ["measure"]

VERIFIER = "$7$101$AAAAAAAAAAAAAAAA$" + "A" * 86 + "=="
PART = 10_000  # devices in one transaction


def measure(*, devices: int, changes: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The pause for each of ``changes`` added devices in a fleet of ``devices``."""
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        settings = Settings(data_dir=Path(name))
        with open_app(settings, upgrade=True) as app:
            say(f"adding {devices} devices")
            fill(app, devices)
            collect_rarely()  # as the process does
            found = asyncio.run(_measure(app, devices, changes, say))
            return found | compared(app, Path(name) / "compared.db", say)


def fill(app: App, devices: int) -> None:
    """Devices d1, d2, … of the dialect smarthome."""
    bulk = app.bulk
    for start in range(1, devices + 1, PART):
        numbers = range(start, min(start + PART, devices + 1))
        checked, wrong = bulk.check(
            SYSTEM,
            [Entry(n, NewDevice(f"d{n}", "smarthome", "home"), verifier=VERIFIER) for n in numbers],
        )
        assert wrong == [], wrong[0]
        bulk.store(SYSTEM, checked)


def compared(app: App, path: Path, say: Callable[[str], None]) -> dict[str, float]:
    """What comparing every account with the file of the broker's plugin takes."""
    service = service_account(app)
    file = AccountsFile(path, service)
    file.renew(app.devices.logins.stream)
    say("comparing all accounts")
    used, started = time.process_time(), time.perf_counter()
    differences = file.compare(chain(app.devices.logins.stream(), [service]))
    figures = {
        "compare_cpu_seconds": round(time.process_time() - used, 2),
        "compare_seconds": round(time.perf_counter() - started, 2),
    }
    file.close()
    assert differences == [], differences[:3]
    return figures


async def _measure(
    app: App, devices: int, changes: int, say: Callable[[str], None]
) -> dict[str, Any]:
    projections = projections_of(app)
    ingest = Ingest(
        settings=app.settings,
        database=app.database,
        catalogue=app.catalogue,
        link=MqttLink(Endpoint("127.0.0.1", 1, "", "", "bench")),
        sink=open_sink(app.settings, projections),
        client_id="bench",
        projections=projections,
    )
    say("reading all of them")
    started = time.perf_counter()
    await ingest._follow_changes()
    first = time.perf_counter() - started
    routes = ingest._planner.routes
    topics = [f"smarthome/home/d{n}/telemetry" for n in range(1, devices + 1)]
    for topic in topics:
        routes.find(topic)
    pauses, cpu, again = [], [], 0
    for number in range(changes):
        app.devices.add(SYSTEM, NewDevice(f"new{number}", "smarthome", "home"))
        used, started = time.process_time(), time.perf_counter()
        await ingest._follow_changes()
        pauses.append((time.perf_counter() - started) * 1000)
        cpu.append((time.process_time() - used) * 1000)
        routes = ingest._planner.routes
        again += sum(1 for topic in topics if routes.get(topic) is None)
    return {
        "devices": devices,
        "read_all_seconds": round(first, 2),
        "pause_ms": {
            "median": round(statistics.median(pauses), 2),
            "longest": round(max(pauses), 2),
        },
        "cpu_ms": {
            "median": round(statistics.median(cpu), 2),
            "most": round(max(cpu), 2),
        },
        "topics_resolved_again": again,
    }
