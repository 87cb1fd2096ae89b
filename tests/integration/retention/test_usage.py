"""What is counted of tenants is what a full scan finds, whatever is stored and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.devices import store as device_store
from mooring.devices.model import Device
from mooring.retention.policy import Policy
from mooring.retention.sweep import sweep
from mooring.store import usage
from mooring.store.engine import open_database
from mooring.store.schema import (
    dead_letters,
    devices,
    messages,
    removed_devices,
    rollup_queue,
    tenant_dead_letters,
    tenant_usage,
    tenant_usage_days,
)
from mooring.store.usage import DAY_MS, ROW_BYTES
from tests.conformance.sink.planning import NOW, plan, row
from tests.integration.retention.test_quota import Stand

ROW = st.tuples(
    st.sampled_from((1, 2, 3)),  # device
    st.integers(0, 60),  # days ago
    st.integers(0, 3),  # of equal ones only the first is stored
    st.sampled_from(("", "x" * 90, "\u00e4" * 40, "a\0b")),  # PostgreSQL rejects the last
)
STEP = st.one_of(
    st.tuples(st.just("store"), st.lists(ROW, min_size=1, max_size=40)),
    st.tuples(st.just("limit"), st.sampled_from((0, 1, 500, 3000))),
    st.tuples(st.just("sweep"), st.integers(1, 50)),
    st.tuples(st.just("dead"), st.integers(0, 3000)),
)


@pytest.fixture
def stand(migrated_url: str, tmp_path: Path) -> Iterator[Stand]:
    database = open_database(migrated_url)
    made = Stand(database, migrated_url, tmp_path)
    yield made
    made.sink.close()
    database.close()


def store(stand: Stand, rows: list[tuple[int, int, int, str]]) -> None:
    made = plan([row(d, ts=NOW - ago * DAY_MS, fingerprint=f, payload=p) for d, ago, f, p in rows])
    made.routes = [
        replace(one, device=replace(one.device, tenant="b" if one.device_id == 3 else "a"))
        for one in made.routes
    ]
    made.newest = {}
    stand.batch += 1
    stand.sink.commit(made, "ingest", stand.batch, 0)
    with stand.database.write() as connection:
        connection.execute(sa.delete(rollup_queue))  # as after the next roll-up
        connection.execute(sa.update(messages).values(received_at=messages.c.ts))


def do(stand: Stand, step: tuple[str, object]) -> None:
    match step:
        case "store", list(rows):
            store(stand, rows)
        case "limit", int(most):
            stand.limit("a", most, most)
            stand.tidy()
        case "sweep", int(days):
            for _ in sweep(stand.database, Policy(days, days, days), NOW):
                pass
        case "dead", int(size):
            one = {"received_at": NOW, "reason": "not_json", "detail": "", "topic": "t"}
            one |= {"tenant": "a", "device_id": 1, "size": size, "payload": b"x" * size}
            with stand.database.write() as connection:
                connection.execute(sa.insert(dead_letters), [one])


def check(stand: Stand) -> None:
    m = messages.c
    owners = sa.union_all(
        sa.select(devices.c.id, devices.c.tenant),
        sa.select(removed_devices.c.device_id, removed_devices.c.tenant),
    ).subquery()
    with stand.database.read() as connection:
        scanned: dict[tuple[str, int], list[int]] = {}
        statement = sa.select(owners.c.tenant, m.ts, usage.octets(connection))
        for tenant, ts, size in connection.execute(statement.where(m.device_id == owners.c.id)):
            sums = scanned.setdefault((tenant, ts // DAY_MS), [0, 0])
            sums[0] += 1
            sums[1] += size + ROW_BYTES
        days = connection.execute(sa.select(tenant_usage_days)).all()
        assert {(one.tenant, one.day): [one.messages, one.bytes] for one in days} == scanned
        counted = connection.execute(sa.select(tenant_usage).where(tenant_usage.c.messages > 0))
        found = {one.tenant: [one.messages, one.bytes] for one in counted}
        assert found == usage.by_tenant(scanned)
        dead = connection.execute(sa.select(sa.func.sum(sa.func.length(dead_letters.c.payload))))
        counted_dead = connection.execute(sa.select(sa.func.sum(tenant_dead_letters.c.bytes)))
        assert (counted_dead.scalar() or 0) == (dead.scalar() or 0)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEP, min_size=2, max_size=8))
def test_counts_are_what_a_full_scan_finds(stand: Stand, steps: list[tuple[str, object]]) -> None:
    """One database for all examples: the counts are right at any moment."""
    for step in steps:
        do(stand, step)
        check(stand)


def test_counts_of_a_removed_device_are_right_too(stand: Stand) -> None:
    store(stand, [(device, ago, 0, "x") for device in (1, 2, 3) for ago in range(20)])
    with stand.database.write() as connection:
        gone = Device(1, "a", "d1", "", "mooring", None, "d1", "d1", True, 0)
        device_store.delete(connection, gone)
    check(stand)
    for step in (("sweep", 15), ("limit", 1000), ("sweep", 1)):
        do(stand, step)
        check(stand)
