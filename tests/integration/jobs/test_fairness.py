"""Tenants take turns, whatever the size of their jobs."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.jobs import outcomes, target_store
from mooring.jobs.rules import Plan
from mooring.store.schema import jobs
from tests.integration.jobs.conftest import FAST, Stand

MANY = 100_000
LISTED = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
    INSERT INTO job_targets (job_id, device_id, device, rank, state, counted)
    SELECT :job, 1000000 + i, 'd' || i, i, 'waiting', 'waiting' FROM n
"""
QUESTIONS = (
    "SELECT device_id FROM job_targets WHERE job_id = 1 AND state = 'waiting' ORDER BY rank",
    "SELECT device_id FROM job_targets WHERE job_id = 1 AND state <> counted",
    "SELECT EXISTS (SELECT 1 FROM job_targets WHERE state <> counted)",
    "SELECT id FROM jobs WHERE due_at <= 5",
    "SELECT 1 FROM job_targets WHERE reference = 'command:1'",
)


def large_job(stand: Stand) -> int:
    """A job whose 100,000 devices are listed, as rows."""
    job = stand.start()
    stand.work()
    with stand.app.database.write() as connection:
        connection.execute(sa.text(LISTED), {"job": job.id, "many": MANY})
        connection.execute(
            sa.update(jobs).where(jobs.c.id == job.id).values(waiting=MANY, due_at=1)
        )
    return job.id


@pytest.fixture
def any_engine(stand: Stand) -> Stand:
    if not stand.app.database.is_sqlite:
        pytest.skip("the order of turns is worked out in the program")
    return stand


def test_a_job_of_100000_devices_does_not_delay_a_neighbour(any_engine: Stand) -> None:
    stand = any_engine
    stand.device("lamp")
    number = large_job(stand)
    stand.app.devices.add(SYSTEM, NewDevice("bulb", "mooring", "b"))
    small = stand.start(tenant="b", plan=FAST)
    for _ in range(3):  # turns: list the device, start it
        stand.worker.step()
    assert stand.job(small).counts.handed_over == 1
    large = stand.jobs.get(SYSTEM, number)
    assert MANY - large.counts.waiting <= 3 * 250
    # Nor another job of the same tenant, which takes turns with it.
    other = stand.start(plan=Plan(pace=None), selection={"names": ["lamp"]})
    for _ in range(4):
        stand.worker.step()
    assert stand.job(other).counts.handed_over == 1


def test_a_turn_touches_as_many_rows_as_it_starts(any_engine: Stand) -> None:
    """Not the whole job: neither to find the next devices, nor to count outcomes."""
    with any_engine.app.database.read() as connection:
        lines = [
            row[3]
            for sql in QUESTIONS
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")
        ]
        # SQLite takes its time for a statement that looks at the whole job for each of its rows.
        updates = [
            target_store._updating("sqlite", ("counted",)),
            target_store._updating("sqlite", target_store._STARTED),
            outcomes._statement("sqlite"),
        ]
        for update in updates:
            sql = str(update.compile(connection.engine))
            (count, values) = (sql.count("?"), "'[]'")
            rows = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {sql.replace('?', values)}"
            ).all()
            plan = [row[3] for row in rows]
            assert count
            assert "(job_id=? AND device_id=?)" in str(plan) or "(reference=?)" in str(plan), plan
    text = "\n".join(lines)
    for index in (
        "ix_job_targets_job_id_state_rank",
        "ix_job_targets_uncounted",
        "ix_job_targets_reference",
        "ix_jobs_due_at",
    ):
        assert index in text
    assert "TEMP B-TREE" not in text
    assert "SCAN job_targets" not in lines
