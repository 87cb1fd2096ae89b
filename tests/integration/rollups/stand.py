"""A database with devices, batches as a sink writes them, and a roller that can be broken."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from mooring.dialects import Catalogue, PayloadLimits, load_all
from mooring.rollups import metrics
from mooring.rollups.extract import Extractor, extractor
from mooring.rollups.model import Level
from mooring.rollups.reading import Buckets, buckets, snapshot
from mooring.rollups.service import Roller
from mooring.store import migrate
from mooring.store.engine import Database, open_database
from mooring.store.schema import (
    channels,
    messages,
    metadata,
    rollup_queue,
)
from tests.integration.rollups.naive import Message

__all__ = ["DAY", "HOUR", "START", "Breaking", "Broken", "Stand"]

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
HOUR, DAY = 3_600_000, 86_400_000
DIALECT = "mooring"
TABLES = ("messages", "rollups", "rollup_open", "rollup_queue", "rollup_state", "metrics")


class Broken(Exception):
    """What a test breaks a transaction with."""


class Breaking(Database):
    """A database whose transactions end in ``Broken`` when told to.

    ``fate`` is asked at each: ``None`` lets it be, ``before`` breaks it before its commit,
    ``after`` behind it, when the caller does not hear that it worked.
    """

    def __init__(self, database: Database, fate: Iterator[str | None]) -> None:
        super().__init__(database.engine)
        self._fate = fate

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        fate = next(self._fate, None)
        with super().write() as connection:
            yield connection
            if fate == "before":
                raise Broken
        if fate == "after":
            raise Broken


class Stand:
    """One migrated database with the two channels of the native dialect that have readings."""

    def __init__(self, url: str) -> None:
        self.database = open_database(url)
        migrate.upgrade(self.database)
        self.catalogue: Catalogue = load_all(Path("/nonexistent"))
        self.said: list[Message] = []
        self._ids = itertools.count(1)
        with self.database.write() as connection:
            for number, (name, kind) in enumerate(
                (("telemetry", "telemetry"), ("event", "event")), 1
            ):
                connection.execute(
                    sa.insert(channels).values(id=number, dialect=DIALECT, name=name, kind=kind)
                )

    def clear(self) -> None:
        """As new: a migration for each example would take the whole time."""
        self.said = []
        self._ids = itertools.count(1)
        with self.database.write() as connection:
            for table in metadata.sorted_tables:
                if table.name in {
                    "messages",
                    "rollups",
                    "rollup_open",
                    "rollup_queue",
                    "rollup_state",
                    "metrics",
                    "device_metrics",
                    "metrics_refused",
                    "counters",
                    "retention",
                    "retention_progress",
                }:
                    connection.execute(sa.delete(table))

    def batch(self, batch: Sequence[Message]) -> None:
        """One transaction of ingest: the rows, and which they are."""
        if not batch:
            return
        ids = [next(self._ids) for _ in batch]
        with self.database.write() as connection:
            connection.execute(
                sa.insert(messages),
                [
                    {
                        "id": number,
                        "device_id": device,
                        "channel_id": channel,
                        "ts": ts,
                        "received_at": ts,
                        "time_source": 0,
                        "fingerprint": number,
                        "payload": json.dumps({"ts": ts, "values": readings, "meta": {"a": 1}}),
                    }
                    for number, (device, channel, ts, readings) in zip(ids, batch, strict=True)
                ],
            )
            times = [message[2] for message in batch]
            connection.execute(
                sa.insert(rollup_queue).values(
                    first_id=ids[0],
                    last_id=ids[-1],
                    first_ts=min(times),
                    last_ts=max(times),
                    claimed=False,
                )
            )
        self.said += [m for m in batch if m[1] == 1]  # events are not rolled up

    def roller(self, database: Database | None = None, **options: int) -> Roller:
        return Roller(database or self.database, lambda: self.catalogue, **options)

    @property
    def telemetry(self) -> Extractor:
        channel = self.catalogue.get(DIALECT).channel("telemetry")
        assert channel is not None
        found = extractor(channel, PayloadLimits(), lambda _: None)
        assert found is not None
        return found

    def read(self, device: int, level: Level, names: Sequence[str]) -> Buckets:
        """Everything of a device at one level."""
        with snapshot(self.database) as connection:
            numbers = metrics.metric_numbers(connection, names)
            wanted = {number: name for name, number in numbers.items()}
            wanted |= {-n: name for n, name in enumerate(names, 1) if name not in numbers}
            return buckets(
                connection,
                device,
                1,
                level,
                start=0,
                end=2 * START // DAY * 1440,
                wanted=wanted,
                how=self.telemetry,
                limit=256,
            )

    def close(self) -> None:
        self.database.close()
