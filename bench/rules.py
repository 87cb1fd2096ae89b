"""What rules cost: an evaluation, and what ingest pays for the evaluation of its messages.

``python -m bench.rules``: 100 rules on 10,000 devices.

- A million evaluations through the engine: microseconds of CPU each, for readings that no rule is
  true of, and for readings that a tenth of the rules is true of.
- Messages a second of CPU time that the planner and the sink of ingest store, without rules, and
  with 100 rules (then each batch writes a row into the queue). The evaluation itself runs in
  another process; its share of a core at 5,000 messages/s is printed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from mooring.alerts.rules import store
from mooring.alerts.rules.engine import Engine, Reading
from mooring.alerts.rules.evaluate import Compiled, compile_rule
from mooring.alerts.rules.model import Rule
from mooring.alerts.rules.parse import definition_of, document_of
from mooring.alerts.rules.plan import About
from mooring.alerts.rules.worker import RuleWorker
from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.dialects.payload import PayloadLimits
from mooring.ingest.ledger import Ledger
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import RouteTable
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.store import versions
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.migrate import upgrade
from mooring.store.schema import channels, devices, rules, tenants
from tests.support.projecting import packet

__all__ = ["main", "measure_engine", "measure_ingest"]

DEVICES, RULES = 10_000, 100
METRICS = ("temperature", "humidity", "pressure", "battery", "rssi")
TARGET = 0.95  # of the rate without rules
BATCH = 500
WARM = 20  # batches that are not counted


def documents() -> list[dict[str, object]]:
    """A hundred rules: thresholds of five metrics, some with two terms, ``for`` and hysteresis."""
    found = []
    for number in range(RULES):
        metric = METRICS[number % len(METRICS)]
        terms: list[dict[str, object]] = [
            {"metric": metric, "operator": ">", "value": 1000 + number, "clear": 990}
        ]
        if number % 3 == 0:
            terms.append({"metric": "humidity", "operator": "<", "value": -1})
        found.append(
            document_of(
                definition_of(
                    {"terms": terms, "for_seconds": 60 if number % 2 else 0, "match": "any"}
                )
            )
        )
    return found


def compiled() -> list[Compiled]:
    return [
        compile_rule(
            Rule(number, "bench", f"r{number}", True, 1, 0, 0, definition_of(document), document)
        )
        for number, document in enumerate(documents(), start=1)
    ]


def measure_engine(evaluations: int, *, hot: float) -> tuple[float, int]:
    """Microseconds of CPU for one evaluation, and how many there were.

    Args:
        hot: the share of readings of which rules are true.
    """
    rng = random.Random(4)
    about = About("bench", "x", "mooring")
    engine = Engine(compiled(), lambda _: about)
    width = engine.plan(1)
    assert width is not None
    number = evaluations // width.width
    readings = []
    for place in range(number):
        value = 1050 if rng.random() < hot else rng.uniform(0, 50)
        body = {name: (value if name == "temperature" else 20.5) for name in METRICS}
        at = place * 1000 // DEVICES * 1000
        readings.append(Reading(place % DEVICES + 1, 1, at, at, body))
    for device in range(1, DEVICES + 1):
        engine.plan(device)
    began = time.process_time()
    for reading in readings:
        engine.take(reading)
    spent = time.process_time() - began
    done = engine.drain().evaluations
    return spent / done * 1e6, done


def measure_ingest(folder: Path, messages: int) -> tuple[float, float, float]:
    """Messages per second of CPU without and with rules, and microseconds of CPU in which the
    evaluation reads and evaluates one message."""
    database = open_database(f"sqlite:///{folder / 'mooring.db'}")
    upgrade(database)
    catalogue = load_all(None)
    fleet = [
        Device(n, "bench", f"d{n}", "", "mooring", None, f"u{n}", f"c{n}", True, 0, ())
        for n in range(1, DEVICES + 1)
    ]
    numbers = _fill(database, fleet, catalogue)
    index = DeviceIndex.of(fleet, catalogue)
    limits = PayloadLimits()
    routes = RouteTable(catalogue, index, numbers, limits, interests=Projections())
    planner = Planner(routes, Ledger(8000), limits, first_unique=1)
    sink = SqliteSink(folder / "mooring.db", projections=Projections())
    batch = [0]
    at = [now_ms()]

    def store_batch() -> float:
        batch[0] += 1
        at[0] += 100
        some = [
            packet(
                f"mooring/bench/d{(batch[0] * BATCH + place) % DEVICES + 1}/telemetry",
                {"ts": at[0], "values": dict.fromkeys(METRICS, 20.5 + place / 1000)},
            )
            for place in range(BATCH)
        ]
        began = time.process_time()
        sink.commit(planner.plan(some, at[0]), "bench", batch[0], 0)
        return time.process_time() - began

    spent = {False: 0.0, True: 0.0}
    worker = RuleWorker(database, lambda: catalogue, hears=lambda *_: True)
    evaluating = 0.0
    _set_rules(database)
    for turn in range(2 * messages // BATCH):  # batch by batch: the machine may have other work
        with_rules = bool(turn % 2)
        _switch(database, on=with_rules)
        worker.step(at[0])  # reads devices and rules
        took = store_batch()
        began = time.process_time()
        while worker.step(at[0]):
            pass
        if turn >= WARM:
            spent[with_rules] += took
            evaluating += (time.process_time() - began) if with_rules else 0.0
    measured = messages - WARM // 2 * BATCH
    sink.close()
    database.close()
    return measured / spent[False], measured / spent[True], evaluating / measured * 1e6


def _fill(
    database: Database, fleet: Sequence[Device], catalogue: object
) -> dict[tuple[str, str], int]:
    numbers: dict[tuple[str, str], int] = {}
    with database.write() as connection:
        connection.execute(sa.insert(tenants).values(name="bench", created_at=0))
        connection.execute(
            sa.insert(devices),
            [
                {
                    **{name: getattr(d, name) for name in ("id", "tenant", "name", "dialect")},
                    **{name: getattr(d, name) for name in ("username", "client_id", "enabled")},
                    "scope": d.tenant,
                    "created_at": 0,
                }
                for d in fleet
            ],
        )
        for dialect in catalogue.all():  # type: ignore[attr-defined]
            for channel in dialect.channels:
                number = numbers[dialect.name, channel.name] = len(numbers) + 1
                connection.execute(
                    sa.insert(channels).values(
                        id=number, dialect=dialect.name, name=channel.name, kind=str(channel.kind)
                    )
                )
    return numbers


def _set_rules(database: Database) -> None:
    with database.write() as connection:
        for number, document in enumerate(documents()):
            store.insert(connection, tenant="bench", name=f"r{number}", document=document, at=0)


def _switch(database: Database, *, on: bool) -> None:
    with database.write() as connection:
        connection.execute(sa.update(rules).values(enabled=on))
        versions.bump(connection, "rules")


def main(words: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m bench.rules", description=__doc__)
    options.add_argument("--messages", type=int, default=60_000)
    options.add_argument("--evaluations", type=int, default=1_000_000)
    chosen = options.parse_args(words)
    found: dict[str, float] = {}
    for name, hot in (("calm", 0.0), ("a tenth true", 0.1)):
        each, done = measure_engine(chosen.evaluations, hot=hot)
        found[f"us per evaluation, {name}"] = round(each, 3)
        print(f"{done:,} evaluations, {name}: {each:.3f} µs each, {each * done / 1e6:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        without, with_rules, each = measure_ingest(Path(folder), chosen.messages)
    share = with_rules / without
    found["share of the rate"] = round(share, 3)
    print(f"ingest without rules: {without:,.0f} messages per second of CPU")
    print(f"ingest with {RULES} rules on {DEVICES:,} devices: {with_rules:,.0f} ({share:.3f})")
    print(f"evaluation: {each:.1f} µs of CPU a message, {each * 5000 / 1e4:.1f} % of a core")
    print(json.dumps(found))
    return 0 if share >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
