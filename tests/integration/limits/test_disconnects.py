"""Devices that exceed a limit are disconnected for a time, and nobody else is."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from mooring.devices import limit_store
from mooring.limits.buckets import TENANT_SENDS
from mooring.limits.disconnects import LimitDisconnects
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.store.schema import (
    broker_changes,
    broker_events,
    dead_letters,
    devices,
    limit_disconnects,
    tenant_limits,
    tenants,
)

NOW = 1_800_000_000_000
SECOND = 1_000


class Stand:
    """Devices 1 and 2 of a, 3 of b; five seconds by the setting."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.write() as connection:
            names = [{"name": name, "created_at": 0} for name in ("a", "b")]
            connection.execute(sa.insert(tenants), names)
            connection.execute(
                sa.insert(devices),
                [
                    {
                        "id": number,
                        "tenant": tenant,
                        "scope": tenant,
                        "name": f"d{number}",
                        "dialect": "mooring",
                        "username": f"u{number}",
                        "client_id": f"u{number}",
                        "created_at": 0,
                    }
                    for number, tenant in ((1, "a"), (2, "a"), (3, "b"))
                ],
            )
        self.worker = self.new()
        self.now = NOW
        self.worker.step(self.now)

    def new(self, seconds: int = 5) -> LimitDisconnects:
        return LimitDisconnects(self.database, Settings(limit_disconnect_seconds=seconds))

    def write(self, table: sa.Table, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(sa.insert(table).values(**values))

    def by_broker(
        self, number: int, at: int, event: str = "limited", detail: str = "limit_bytes"
    ) -> None:
        row = {"at": at, "event": event, "username": f"u{number}", "detail": detail}
        self.write(broker_events, **row)

    def by_ingest(
        self, number: int, at: int, reason: str = "limit_messages", detail: str = ""
    ) -> None:
        row = {"received_at": at, "reason": reason, "topic": "t", "payload": b"", "size": 0}
        self.write(dead_letters, **row, detail=detail, device_id=number, tenant="a")

    def step(self, passed: int = SECOND) -> tuple[set[int], set[str]]:
        """Who is disconnected then, and whose accounts the broker has to be told of."""
        with self.database.write() as connection:
            connection.execute(sa.delete(broker_changes))
        self.now += passed
        self.worker.step(self.now)
        with self.database.read() as connection:
            changed = set(connection.execute(sa.select(broker_changes.c.username)).scalars())
            return set(limit_store.disconnected(connection)), changed


@pytest.fixture
def stand(database: Database) -> Stand:
    return Stand(database)


def test_for_that_time_and_not_for_what_is_reported_late(stand: Stand) -> None:
    stand.by_broker(1, stand.now)
    stand.by_ingest(3, stand.now)
    assert stand.step() == ({1, 3}, {"u1", "u3"})
    stand.by_broker(1, stand.now)  # its last messages; nothing begins again
    assert stand.step() == ({1, 3}, set())
    assert stand.step(4 * SECOND) == (set(), {"u1", "u3"})
    stand.by_broker(1, stand.now - 2 * SECOND)  # counted by the plugin until now
    assert stand.step() == (set(), set())
    stand.by_broker(1, stand.now)
    assert stand.step() == ({1}, {"u1"})


def test_other_events_and_what_was_before_the_start_disconnect_nobody(stand: Stand) -> None:
    stand.by_broker(1, stand.now, event="denied_publish")
    stand.by_ingest(2, stand.now, reason="not_json")
    assert stand.step() == (set(), set())
    stand.by_broker(1, stand.now)
    stand.worker = stand.new()
    assert stand.step() == (set(), set())


def test_a_limit_of_the_tenant_disconnects_nobody(stand: Stand) -> None:
    """A neighbour may have used it up."""
    stand.by_broker(1, stand.now, detail="limit_tenant_bytes (3 times)")
    stand.by_broker(2, stand.now, detail="limit_tenant_messages")
    stand.by_ingest(3, stand.now, detail=f"{TENANT_SENDS} bytes than its limit allows.")
    assert stand.step() == (set(), set())


def test_who_is_accepted_early_is_disconnected_again_when_it_sends_too_much(stand: Stand) -> None:
    stand.by_broker(1, stand.now)
    assert stand.step() == ({1}, {"u1"})
    with stand.database.write() as connection:
        limit_store.end_disconnect(connection, 1)
    assert stand.step() == (set(), set())
    stand.by_broker(1, stand.now + 1)
    assert stand.step() == ({1}, {"u1"})


def test_a_device_that_is_removed_meanwhile_costs_no_other_its_time(stand: Stand) -> None:
    with stand.database.write() as connection:
        until = {1: stand.now + SECOND, 77: stand.now + SECOND}
        assert limit_store.disconnect(connection, until, stand.now) == [1]
        assert limit_store.disconnect(connection, until, stand.now) == []


def test_a_tenant_has_its_own_time_and_the_setting_is_off_by_default(stand: Stand) -> None:
    assert Settings().limit_disconnect_seconds == 0
    stand.worker = stand.new(0)
    stand.step()
    stand.by_broker(1, stand.now)
    assert stand.step() == (set(), set())
    stand.write(tenant_limits, tenant="a", disconnect_seconds=60)
    for number in (1, 3):
        stand.by_broker(number, stand.now)
    assert stand.step() == ({1}, {"u1"})
    with stand.database.read() as connection:
        since, until = connection.execute(
            sa.select(limit_disconnects.c.since, limit_disconnects.c.until)
        ).one()
    assert (since, until - since) == (stand.now, 60 * SECOND)
    stand.worker = stand.new(5)
    stand.step()
    with stand.database.write() as connection:
        connection.execute(sa.update(tenant_limits).values(disconnect_seconds=0))
    for number in (2, 3):
        stand.by_broker(number, stand.now)
    assert stand.step() == ({1, 3}, {"u3"})


def test_a_process_that_is_killed_leaves_nobody_disconnected(stand: Stand) -> None:
    stand.by_broker(1, stand.now)
    assert stand.step() == ({1}, {"u1"})
    stand.worker = stand.new(0)  # also without the setting
    assert stand.step() == ({1}, set())
    assert stand.step(5 * SECOND) == (set(), {"u1"})
