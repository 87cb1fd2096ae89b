"""Messages through the real planner and sink, and the evaluation of rules step by step, on both
engines and on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.alerts import store as alert_store
from mooring.alerts.model import Alert, Bounds
from mooring.alerts.projection import DeviceAlerts
from mooring.alerts.rules import store as rule_store
from mooring.alerts.rules.parse import definition_of, document_of
from mooring.alerts.rules.worker import RuleWorker
from mooring.alerts.store import Wanted
from mooring.identity.actor import SYSTEM
from mooring.store import versions
from mooring.store.engine import Database
from mooring.store.schema import channels, counters
from tests.support.projecting import CATALOGUE, CHANNEL_IDS, NOW, Desk, add_devices, packet

SECOND = 1_000
TELEMETRY = "mooring/acme/a/telemetry"


@dataclass
class Stand:
    """One platform without processes.

    Attributes:
        now: epoch milliseconds.
    """

    database: Database
    url: str
    bounds: Bounds = field(default_factory=Bounds)
    now: int = NOW
    hears: bool = True

    def __post_init__(self) -> None:
        add_devices(self.database)
        with self.database.write() as connection:
            connection.execute(
                sa.insert(channels),
                [
                    {"id": number, "dialect": dialect, "name": name, "kind": kind_of(dialect, name)}
                    for (dialect, name), number in CHANNEL_IDS.items()
                ],
            )
        self.desk = Desk(self.url, [DeviceAlerts(self.bounds)])
        self.worker = self.new_worker()

    def new_worker(self) -> RuleWorker:
        """As after a kill: nothing is remembered."""
        return RuleWorker(
            self.database,
            lambda: CATALOGUE,
            bounds=self.bounds,
            hears=lambda _connection, _now: self.hears,
        )

    def kill(self) -> None:
        self.worker = self.new_worker()

    def rule(self, *terms: dict[str, Any], name: str = "hot", **more: Any) -> int:
        tenant = more.pop("tenant", "acme")
        document = document_of(definition_of({"terms": list(terms), **more}))
        with self.database.write() as connection:
            number = rule_store.insert(
                connection, tenant=tenant, name=name, document=document, at=self.now
            )
            versions.bump(connection, "rules")
        return number

    def say(self, values: dict[str, Any], *, topic: str = TELEMETRY, age: float = 0) -> None:
        """One message that arrives now and was made ``age`` seconds ago."""
        self.say_all([(values, age)], topic=topic)

    def say_all(self, some: Sequence[tuple[dict[str, Any], float]], topic: str = TELEMETRY) -> None:
        packets = [
            packet(topic, {"ts": self.now - int(age * SECOND), "values": values})
            for values, age in some
        ]
        self.desk.batch(packets, self.now)

    def send(self, topic: str, payload: dict[str, Any]) -> None:
        self.desk.batch([packet(topic, payload)], self.now)

    def step(self) -> None:
        """Evaluates until nothing is left to read now."""
        while self.worker.step(self.now + SECOND // 2):
            pass

    def after(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    def alerts(self, **wanted: Any) -> list[Alert]:
        """The oldest first."""
        wanted.setdefault("opened", None)
        with self.database.read() as connection:
            return alert_store.listed(connection, SYSTEM, Wanted(limit=1000, **wanted))[::-1]

    def events(self, number: int) -> list[str]:
        with self.database.read() as connection:
            return [entry.event for entry in alert_store.history(connection, number)]

    def counter(self, name: str) -> int:
        with self.database.read() as connection:
            found = sa.select(counters.c.value).where(counters.c.name == name)
            return int(connection.execute(found).scalar() or 0)


def kind_of(dialect: str, name: str) -> str:
    channel = CATALOGUE.get(dialect).channel(name)
    assert channel is not None
    return str(channel.kind)


@pytest.fixture
def stand(database: Database, migrated_url: str) -> Iterator[Stand]:
    made = Stand(database, migrated_url)
    yield made
    made.desk.close()
