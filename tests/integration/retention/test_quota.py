"""Stored bytes of tenants: counted with each change, the oldest go first, nobody else's do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.devices import store as device_store
from mooring.devices.model import Device
from mooring.ingest.sink import Sink
from mooring.ingest.sink_postgres import PostgresSink
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.limits import storage_store
from mooring.limits.storage import Storage, Usage
from mooring.retention import tidy_store
from mooring.retention.policy import Policy
from mooring.retention.sweep import sweep
from mooring.retention.tidy import OFTEN, tidy
from mooring.settings import Settings
from mooring.store.engine import Database, open_database
from mooring.store.schema import (
    channels,
    counters,
    dead_letters,
    devices,
    messages,
    removed_devices,
    rollup_queue,
    tenants,
)
from mooring.store.usage import DAY_MS, ROW_BYTES
from tests.conformance.sink.planning import NOW, plan, row

PAYLOAD = '{"t":"' + "x" * 92 + '"}'
EACH = len(PAYLOAD) + ROW_BYTES


class Stand:
    """Two tenants: devices 1 and 2 are a's, 3 is b's."""

    def __init__(self, database: Database, url: str, tmp_path: Path) -> None:
        self.database = database
        self.settings = Settings(data_dir=tmp_path)
        self.sink: Sink = (
            SqliteSink(Path(url.removeprefix("sqlite:///")))
            if database.is_sqlite
            else PostgresSink(url)
        )
        self.batch = 0
        with database.write() as connection:
            names = [{"name": name, "created_at": 0} for name in ("a", "b")]
            connection.execute(sa.insert(tenants), names)
            connection.execute(
                sa.insert(channels).values(id=1, dialect="mooring", name="t", kind="telemetry")
            )
            for number, tenant in ((1, "a"), (2, "a"), (3, "b")):
                word = f"d{number}"
                connection.execute(
                    sa.insert(devices).values(
                        id=number,
                        tenant=tenant,
                        name=word,
                        scope=tenant,
                        dialect="mooring",
                        username=word,
                        client_id=word,
                        created_at=0,
                    )
                )

    def store(self, device: int, *days: int, payload: str = PAYLOAD) -> None:
        """A message of each of these days ago."""
        tenant = "b" if device == 3 else "a"
        rows = [row(device, ts=NOW - ago * DAY_MS, payload=payload) for ago in days]
        made = plan(rows)
        known = replace(made.routes[0].device, tenant=tenant)
        made.routes = [replace(route, device=known) for route in made.routes]
        made.newest = {}
        self.batch += 1
        self.sink.commit(made, "ingest", self.batch, 0)
        with self.database.write() as connection:  # as after the next roll-up
            connection.execute(sa.delete(rollup_queue))

    def limit(self, tenant: str, most: int | None = None, dead: int | None = None) -> None:
        with self.database.write() as connection:
            storage_store.set_own(connection, tenant, Storage(most, dead))

    def usage(self, tenant: str) -> Usage:
        with self.database.read() as connection:
            return storage_store.usage(connection, tenant)

    def left(self, device: int) -> list[int]:
        """How many days ago the messages are that are there."""
        with self.database.read() as connection:
            times = connection.execute(
                sa.select(messages.c.ts).where(messages.c.device_id == device)
            ).scalars()
            return sorted((NOW - ts) // DAY_MS for ts in times)

    def tidy(self) -> dict[str, int]:
        done: dict[str, int] = {}
        for tidied in tidy(self.database, self.settings, NOW, OFTEN):
            done = tidied.rows
        return done

    def counter(self, name: str) -> int:
        with self.database.read() as connection:
            statement = sa.select(counters.c.value).where(counters.c.name == name)
            return connection.execute(statement).scalar() or 0


@pytest.fixture
def stand(migrated_url: str, tmp_path: Path) -> Iterator[Stand]:
    database = open_database(migrated_url)
    made = Stand(database, migrated_url, tmp_path)
    yield made
    made.sink.close()
    database.close()


def test_usage_is_what_is_stored(stand: Stand) -> None:
    stand.store(1, 3, 2, 1)
    stand.store(2, 1, payload="ä")
    stand.store(3, 1)
    found = stand.usage("a")
    assert (found.messages, found.bytes) == (4, 3 * EACH + 2 + ROW_BYTES)
    assert found.oldest_day == (NOW - 3 * DAY_MS) // DAY_MS
    assert stand.usage("b").bytes == EACH


def test_what_is_stored_already_counts_once(stand: Stand) -> None:
    again = [row(1, ts=NOW - number, fingerprint=number) for number in range(5)]
    for rows in (again[:3], again):
        stand.batch += 1
        stand.sink.commit(plan(rows), "ingest", stand.batch, 0)
    with stand.database.read() as connection:
        found = storage_store.usage(connection, "default")  # as the plan says
    assert found.messages == 5


def test_the_oldest_messages_of_that_tenant_alone_go_at_the_limit(stand: Stand) -> None:
    stand.store(3, 9, 8)
    stand.store(1, 9, 5, 1)
    stand.store(2, 7, 5, 0)
    stand.limit("a", 4 * EACH)
    assert stand.tidy() == {"messages": 3}
    # Of the same day, it does not matter which.
    assert sorted(stand.left(1) + stand.left(2)) == [0, 1, 5]
    assert stand.left(3) == [8, 9]
    found = stand.usage("a")
    assert (found.messages, found.bytes) == (3, 3 * EACH)
    assert (found.displaced_messages, found.displaced_bytes) == (3, 3 * EACH)
    assert found.displaced_at == NOW
    assert stand.counter("messages_displaced") == 3
    assert stand.tidy() == {}


def test_the_newest_is_stored_also_above_the_limit(stand: Stand) -> None:
    stand.limit("a", EACH)
    stand.store(1, 2, 1, 0)
    assert stand.left(1) == [0, 1, 2]  # what was acknowledged is there
    stand.store(3, 0)
    stand.tidy()
    assert stand.left(3) == [0]
    assert stand.usage("a").messages <= 1


def test_a_message_of_each_day_costs_no_transaction_of_its_own(stand: Stand) -> None:
    """A hostile device: nobody else's records are tidied meanwhile."""
    stand.store(1, *reversed(range(300)))
    stand.limit("a", 100 * EACH)
    turns = sum(1 for _ in tidy(stand.database, stand.settings, NOW, OFTEN))
    idle = sum(1 for _ in tidy(stand.database, stand.settings, NOW, OFTEN))
    assert stand.left(1) == list(range(stand.usage("a").messages))
    assert 95 <= stand.usage("a").messages <= 100
    assert turns - idle < 30


def test_what_no_roll_up_holds_yet_stays(stand: Stand) -> None:
    stand.store(1, 2, 1)
    stand.store(3, 0)
    stand.limit("a", 1)
    with stand.database.write() as connection:
        connection.execute(
            sa.insert(rollup_queue).values(first_id=1, last_id=2, first_ts=0, last_ts=NOW)
        )
    assert stand.tidy() == {}
    assert stand.left(1) == [1, 2]


def test_retention_and_removed_devices_are_counted(stand: Stand) -> None:
    stand.store(1, 9, 1)
    stand.store(2, 1)
    stand.store(3, 1)
    with stand.database.write() as connection:
        gone = Device(1, "a", "d1", "", "mooring", None, "d1", "d1", True, 0)
        device_store.delete(connection, gone)
    assert stand.usage("a").messages == 3  # they are there still, and nobody else's
    # Messages were received when they were sent.
    with stand.database.write() as connection:
        connection.execute(sa.update(messages).values(received_at=messages.c.ts))
    for _ in sweep(stand.database, Policy(5, 5, 5), NOW):
        pass
    if stand.database.is_sqlite:
        assert stand.left(1) == [1]
        assert stand.usage("a").messages == 2
    stand.limit("a", 1)
    stand.tidy()
    assert stand.left(1) == stand.left(2) == []
    assert stand.usage("a").bytes == 0
    for _ in tidy(stand.database, stand.settings, NOW):
        pass
    with stand.database.read() as connection:
        assert not connection.execute(sa.select(removed_devices)).all()


def test_dead_letters_of_a_tenant_have_a_limit(stand: Stand) -> None:
    def spoil(device: int, tenant: str, size: int, rows: int) -> None:
        one = {
            "received_at": NOW,
            "reason": "not_json",
            "detail": "",
            "topic": "t",
            "tenant": tenant,
            "device_id": device,
            "size": size,
            "payload": b"x" * size,
        }
        with stand.database.write() as connection:
            connection.execute(sa.insert(dead_letters), [one] * rows)

    spoil(1, "a", 100, 8)
    spoil(2, "a", 100, 2)
    spoil(3, "b", 100, 9)
    assert (stand.usage("a").dead_letter_bytes, stand.usage("b").dead_letter_bytes) == (1000, 900)
    stand.limit("a", dead=500)
    assert stand.tidy() == {"dead_letters": 6}  # half of its 8, then of its 4
    assert (stand.usage("a").dead_letter_bytes, stand.usage("b").dead_letter_bytes) == (400, 900)
    with stand.database.read() as connection:
        left = connection.execute(sa.select(dead_letters.c.device_id)).scalars().all()
    assert left.count(2) == 2  # not those of the device that sent few
    assert left.count(3) == 9
    assert stand.counter("dead_letters_displaced") == 6


def test_dead_letters_of_many_devices_are_not_looked_through_for_each(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def counted(*args: Any) -> list[tidy_store.Largest]:
        looks.append(args)
        return look(*args)

    look = tidy_store.largest_of
    monkeypatch.setattr(tidy_store, "largest_of", counted)
    one = {"received_at": NOW, "reason": "not_json", "detail": "", "topic": "t", "tenant": "a"}
    one |= {"size": 100, "payload": b"x" * 100}
    with stand.database.write() as connection:
        connection.execute(
            sa.insert(dead_letters), [{**one, "device_id": number} for number in range(60)]
        )
    stand.limit("a", dead=1000)
    assert stand.tidy() == {"dead_letters": 50}
    assert stand.usage("a").dead_letter_bytes == 1000
    assert len(looks) == 1
