"""From a committed reading to a notification that the receiver has: milliseconds.

``python -m bench.notify``: one process stores 5,000 messages a second as ingest does, in batches
of 500. One reading of each batch is over a threshold, of another device each time. A second
process evaluates rules and sends notifications, as ``mooring worker`` does, to a webhook over TLS
whose recipient waits for nothing. The time runs from the commit to the request's arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.rules import _fill
from mooring.alerts.rules import store as rules
from mooring.alerts.rules.parse import definition_of, document_of
from mooring.alerts.rules.worker import RuleWorker
from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.dialects.payload import PayloadLimits
from mooring.identity.actor import SYSTEM
from mooring.ingest.ledger import Ledger
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import RouteTable
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.notify.model import Kind
from mooring.notify.service import Recipients
from mooring.notify.worker import Notifier
from mooring.secrets.instance import open_instance
from mooring.settings import Settings
from mooring.store import versions
from mooring.store.engine import now_ms, open_database
from mooring.store.migrate import upgrade
from tests.support.projecting import packet
from tests.support.receivers import HttpReceiver, certificate

__all__ = ["main", "measure"]

RATE, BATCH = 5_000, 500
COLD = 1_000  # devices that are never over the threshold
WARM_SECONDS = 2
TARGET_MS = 2_000.0


def measure(folder: Path, seconds: int) -> list[float]:
    """Milliseconds from commit to arrival, of each alert after the warm-up."""
    url = f"sqlite:///{folder / 'mooring.db'}"
    database = open_database(url)
    upgrade(database)
    catalogue = load_all(None)
    batches = seconds * RATE // BATCH
    fleet = [
        Device(n, "bench", f"d{n}", "", "mooring", None, f"u{n}", f"c{n}", True, 0, ())
        for n in range(1, batches + COLD + 1)
    ]
    numbers = _fill(database, fleet, catalogue)
    files = certificate(folder)
    settings = Settings(data_dir=folder, notify_ca_file=files[0])
    document = document_of(
        definition_of({"terms": [{"metric": "temperature", "operator": ">", "value": 1000}]})
    )
    with database.write() as connection:
        rules.insert(connection, tenant="bench", name="hot", document=document, at=0)
        versions.bump(connection, "rules")
    limits = PayloadLimits()
    routes = RouteTable(
        catalogue, DeviceIndex.of(fleet, catalogue), numbers, limits, interests=Projections()
    )
    planner = Planner(routes, Ledger(8000), limits, first_unique=1)
    sink = SqliteSink(folder / "mooring.db", projections=Projections())
    with TimedReceiver(files) as receiver:
        Recipients(database, open_instance(folder), settings).add(
            SYSTEM,
            "bench",
            Kind.WEBHOOK,
            receiver.url,
            options={"wait_seconds": 0, "interval_seconds": 0, "severity": "info"},
            private=True,
            tenant="bench",
        )
        processes = multiprocessing.get_context("spawn")
        ready = processes.Event()
        child = processes.Process(target=_work, args=(url, settings, ready))
        child.start()
        try:
            assert ready.wait(60), "the second process did not start"
            committed: dict[str, float] = {}
            began = time.monotonic()
            for batch in range(1, batches + 1):
                at = now_ms()
                some = [_reading(batch, at, 2000)]
                some += [
                    _reading(batches + 1 + place % COLD, at, 20.5) for place in range(BATCH - 1)
                ]
                sink.commit(planner.plan(some, at), "bench", batch, 0)
                committed[f"d{batch}"] = time.monotonic()
                time.sleep(max(0.0, began + batch * BATCH / RATE - time.monotonic()))
            behind = time.monotonic() - began - seconds
            until = time.monotonic() + 10
            while len(receiver.arrived) < len(committed) and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            child.terminate()
            child.join(10)
    sink.close()
    database.close()
    if behind > 1:
        print(f"the machine stored less than {RATE:,} a second: {behind:.1f} s behind")
    warm = {f"d{batch}" for batch in range(1, WARM_SECONDS * RATE // BATCH)}
    # A notification names 50 alerts: with a machine that is busy otherwise, more come at a time.
    print(f"{len(set(committed) - set(receiver.arrived))} alerts were counted and not named")
    return [
        (receiver.arrived[name] - at) * 1000
        for name, at in committed.items()
        if name not in warm and name in receiver.arrived
    ]


def _reading(device: int, at: int, temperature: float) -> Any:
    values = {"temperature": temperature}
    return packet(f"mooring/bench/d{device}/telemetry", {"ts": at, "values": values})


class TimedReceiver(HttpReceiver):
    """Notes when each device's alert arrived first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.arrived: dict[str, float] = {}

    def _read(self, reader: object) -> None:
        super()._read(reader)
        at = time.monotonic()
        for alert in self.got.pop().json["data"]["alerts"]:
            self.arrived.setdefault(alert["device"], at)


def _work(url: str, settings: Settings, ready: Any) -> None:
    """The second process."""

    async def both() -> None:
        database = open_database(url)
        catalogue = load_all(None)
        evaluation = RuleWorker(database, lambda: catalogue, hears=lambda *_: True)
        sending = Notifier(database, open_instance(settings.data_dir), settings)
        asyncio.get_running_loop().call_later(1, ready.set)
        await asyncio.gather(evaluation.run(), sending.run())

    asyncio.run(both())


def main(words: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m bench.notify", description=__doc__)
    options.add_argument("--seconds", type=int, default=30)
    chosen = options.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), chosen.seconds)
    cuts = statistics.quantiles(found, n=100)
    figures = {"p50": round(cuts[49]), "p99": round(cuts[98]), "max": round(max(found))}
    print(f"{len(found)} alerts at {RATE:,} messages/s, commit to arrival in ms: {figures}")
    print(json.dumps(figures))
    return 0 if figures["p99"] < TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
