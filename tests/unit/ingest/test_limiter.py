"""Limits of devices and tenants where the broker does not keep them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mooring.devices.index import DeviceIndex
from mooring.dialects.payload import PayloadLimits
from mooring.identity.account import Quota
from mooring.ingest.ledger import Ledger
from mooring.ingest.limiter import CREDIT_PARTS, Limiter
from mooring.ingest.plan import Plan
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import RouteTable
from mooring.limits.buckets import BURST_SECONDS, OFFLINE_SECONDS
from mooring.store.engine import Database, open_database
from mooring.store.schema import device_limits, tenant_limits
from tests.support.projecting import CATALOGUE, CHANNEL_IDS, DEVICES, NOW, add_devices, packet

A, B = "mooring/acme/a/telemetry", "mooring/rival/b/telemetry"
NONE = Quota()
HOUR = 3_600_000


def planner(limiter: Limiter) -> Planner:
    limits = PayloadLimits()
    index = DeviceIndex.of(DEVICES, CATALOGUE)
    routes = RouteTable(CATALOGUE, index, CHANNEL_IDS, limits, interests=Projections())
    return Planner(routes, Ledger(1000), limits, limiter=limiter)


def plan(made: Planner, topic: str, number: int, at: int = NOW, ts: int | None = None) -> Plan:
    said = {"values": {"t": 1}} | ({} if ts is None else {"ts": ts})
    return made.plan([packet(topic, said) for _ in range(number)], at)


def test_what_is_above_the_limit_is_a_dead_letter_that_says_so() -> None:
    made = planner(Limiter(Quota(None, 2), NONE))
    found = plan(made, A, 25)
    assert (len(found.messages), len(found.dead), found.limited) == (20, 5, 5)
    assert {one.reason for one in found.dead} == {"limit_messages"}
    assert {(one.tenant, one.device_id) for one in found.dead} == {("acme", 1)}
    assert len(found.packets) == 25  # the broker gets its acknowledgement for each
    assert len(plan(made, B, 20).messages) == 20  # another device has its own
    assert len(plan(made, A, 5, NOW + 1_000).messages) == 2


def test_readings_that_were_kept_use_what_was_saved_of_the_rate() -> None:
    made = planner(Limiter(Quota(None, 1), NONE))
    assert len(plan(made, A, 500, ts=NOW - HOUR).messages) == 500
    assert len(plan(made, A, 11).messages) == 10  # nothing of it is gone for the live ones
    assert len(plan(made, A, 4000, ts=NOW - 2 * HOUR).messages) == 3100


def test_old_timestamps_do_not_double_the_rate() -> None:
    made = planner(Limiter(Quota(None, 1), NONE))
    assert len(plan(made, A, 3600 + 5, ts=NOW - HOUR).messages) == 3600
    assert len(plan(made, A, 12).messages) == 10
    stored, at = 0, NOW
    for _ in range(200):  # a second each: as many of both kinds as it can
        at += 1000
        stored += len(plan(made, A, 3, at).messages)
        stored += len(plan(made, A, 3, at, ts=at - HOUR).messages)
    assert stored == 200


@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.integers(1, 900), st.booleans()),
        min_size=1,
        max_size=200,
    ),
    st.integers(50, 20_000),
)
def test_bytes_taken_at_once_are_never_more_than_the_limit(
    steps: list[tuple[int, int, bool]], rate: int
) -> None:
    limiter = Limiter(Quota(None, None, rate), NONE)
    at, passed, refused = NOW, 0, 0
    largest = max(size for _, size, _ in steps)
    for wait, size, kept in steps:
        at += wait
        age = HOUR if kept else 0
        if limiter.refuses(1, "acme", size, age=age, now=at) is None:
            passed += size
        else:
            refused += 1
    most = rate * ((at - NOW) / 1000 + BURST_SECONDS + OFFLINE_SECONDS)
    assert passed <= most + largest + 1
    # And what is within the burst always passes.
    live = Limiter(Quota(None, None, rate), NONE)
    sizes = [size for _, size, _ in steps]
    room = rate * BURST_SECONDS - max(largest, rate // CREDIT_PARTS)
    while sum(sizes) > room and sizes:
        sizes.pop()
    assert all(live.refuses(1, "acme", size, age=0, now=NOW) is None for size in sizes)


def test_a_tenants_limit_is_shared_and_its_refusal_costs_the_device_nothing() -> None:
    made = planner(Limiter(Quota(None, 100), Quota(None, 1)))
    found = plan(made, A, 30)
    assert (len(found.messages), found.limited) == (10, 20)
    assert len(plan(made, B, 30).messages) == 10


def test_without_limits_nothing_is_counted() -> None:
    limiter = Limiter(Quota(5), Quota(0, 0, 0))  # connections are not ours to count
    assert not limiter.active
    assert len(plan(planner(limiter), A, 100).messages) == 100


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(migrated_file, tmp_path / "mooring.db")
    found = open_database(f"sqlite:///{tmp_path / 'mooring.db'}")
    add_devices(found)
    yield found
    found.close()


def test_own_limits_are_read_from_the_database(database: Database) -> None:
    limiter = Limiter(NONE, NONE)
    made = planner(limiter)
    with database.write() as connection:
        connection.execute(sa.insert(device_limits).values(device_id=1, messages=1))
        connection.execute(sa.insert(tenant_limits).values(tenant="rival", bytes=10))
    assert len(plan(made, A, 20).messages) == 20
    limiter.refresh(database)
    assert len(plan(made, A, 20).messages) == 10
    found = plan(made, B, 20)
    assert {one.reason for one in found.dead} == {"limit_bytes"}
    with database.write() as connection:
        connection.execute(sa.delete(device_limits))
        connection.execute(sa.delete(tenant_limits))
    limiter.refresh(database)
    assert not limiter.active
