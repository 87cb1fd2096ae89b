"""How fast batches are committed, without broker and planning: both engines in one run.

    python -m bench.sinks [--rounds 3] [--batches 40] [--batch 5000] [--devices 1000]

Rounds alternate the order of the engines. Each batch holds new 230-byte messages of all devices
in turn, their newest values and states, as ingest plans them. CPU is that of this process and,
on PostgreSQL, of the server process that serves it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mqtt5 import PublishPacket, QoS

from bench.generator import payload
from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.dialects.payload import PayloadLimits
from mooring.ingest import channels
from mooring.ingest.ledger import Ledger
from mooring.ingest.plan import Plan
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import RouteTable
from mooring.ingest.sink import Sink
from mooring.ingest.sink_postgres import PostgresSink
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.presence.projection import DeviceState, LastSeen
from mooring.sequences.projection import SequenceNumbers
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.migrate import upgrade
from tests.support.postgres import Postgres

SIZE = 230
PROJECTIONS = Projections([LastSeen(), DeviceState(PayloadLimits()), SequenceNumbers()])


def routes(database: Database, directory: Path, count: int) -> tuple[RouteTable, list[str]]:
    """Routes of a made-up fleet of the dialect smarthome, and its topics."""
    catalogue = load_all(directory)
    fleet = [
        Device(n, "home", f"d{n}", "", "smarthome", None, f"u{n}", f"c{n}", True, 0, ())
        for n in range(1, count + 1)
    ]
    table = RouteTable(
        catalogue,
        DeviceIndex.of(fleet, catalogue),
        channels.numbers(database, catalogue),
        PayloadLimits(),
        interests=PROJECTIONS,
    )
    return table, [f"smarthome/home/d{n}/telemetry" for n in range(1, count + 1)]


def plans(database: Database, directory: Path, options: argparse.Namespace) -> list[Plan]:
    table, topics = routes(database, directory, options.devices)
    planner = Planner(table, Ledger(8000), PayloadLimits())
    made = []
    for batch in range(options.batches):
        packets = [
            PublishPacket(
                topics[number % len(topics)],
                payload=payload(batch * options.batch + number, SIZE),
                qos=QoS.AT_LEAST_ONCE,
                packet_id=number % 60_000 + 1,
            )
            for number in range(options.batch)
        ]
        plan = planner.plan(packets, now_ms())
        assert len(plan.messages) == options.batch, plan.dead[:1]
        made.append(plan)
    return made


def cpu_of(pid: int) -> float:
    """Seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(sink: Sink, made: list[Plan], server: Callable[[], float]) -> dict[str, float]:
    before, own, wall = server(), time.process_time(), time.perf_counter()
    stored = sum(sink.commit(p, "bench", n, max(0, n - 4)).stored for n, p in enumerate(made, 1))
    seconds = time.perf_counter() - wall
    assert stored == sum(len(plan.messages) for plan in made), stored
    return {
        "messages_per_second": stored / seconds,
        "client_us": (time.process_time() - own) / stored * 1e6,
        "server_us": (server() - before) / stored * 1e6,
        "ms_a_batch": seconds / len(made) * 1e3,
    }


def on_sqlite(options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "mooring.db"
        database = open_database(f"sqlite:///{path}")
        upgrade(database)
        made = plans(database, Path(name) / "dialects", options)
        sink = SqliteSink(path, projections=PROJECTIONS)
        try:
            figures = measure(sink, made, lambda: 0.0)
        finally:
            sink.close()
            database.close()
        return {**figures, "bytes_a_message": path.stat().st_size / sum(map(_rows, made))}


def on_postgres(server: Postgres, options: argparse.Namespace) -> dict[str, float]:
    url = server.create_database()
    database = open_database(url)
    upgrade(database)
    with tempfile.TemporaryDirectory() as name:
        made = plans(database, Path(name), options)
    sink = PostgresSink(url, projections=PROJECTIONS)
    try:
        sink.versions()  # connects
        with database.read() as connection:
            pid = connection.exec_driver_sql(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'mooring ingest'"
                " AND datname = current_database()"
            ).scalar_one()
        figures = measure(sink, made, lambda: cpu_of(pid))
        with database.read() as connection:
            size = connection.exec_driver_sql(
                "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('messages')"
            ).scalar_one()
    finally:
        sink.close()
        database.close()
        server.drop_database(url)
    return {**figures, "bytes_a_message": float(size) / sum(map(_rows, made))}


def _rows(plan: Plan) -> int:
    return len(plan.messages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--batch", type=int, default=5000)
    parser.add_argument("--devices", type=int, default=1000)
    options = parser.parse_args()
    results: dict[str, list[dict[str, float]]] = {"sqlite": [], "postgresql": []}
    with Postgres() as server:
        engines: list[tuple[str, Callable[[], dict[str, float]]]] = [
            ("sqlite", lambda: on_sqlite(options)),
            ("postgresql", lambda: on_postgres(server, options)),
        ]
        for number in range(options.rounds):
            for name, run in engines if number % 2 == 0 else engines[::-1]:
                results[name].append(run())
    summary: dict[str, Any] = {
        name: {
            key: {
                "median": round(statistics.median(r[key] for r in rounds), 2),
                "least": round(min(r[key] for r in rounds), 2),
                "most": round(max(r[key] for r in rounds), 2),
            }
            for key in rounds[0]
        }
        for name, rounds in results.items()
    }
    print(json.dumps({"options": vars(options), **summary}, indent=2))


if __name__ == "__main__":
    main()
