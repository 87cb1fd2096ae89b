"""What devices report of their settings, through planner and sink, on each database."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.device_settings import store
from mooring.device_settings.model import Row
from mooring.device_settings.projection import REPORTED_MAX_BYTES
from mooring.device_settings.rules import REFUSALS_MAX, Record, State
from mooring.store.engine import Database
from mooring.store.schema import dead_letters, device_settings
from tests.conformance.projections.conftest import OpenDesk
from tests.support.projecting import INSTANCE, NOW, Desk, add_devices, packet, registered

LAMP, OTHER = 1, 2
MINE, THEIRS = "mooring/acme/a/config/reported", "mooring/rival/b/config/reported"


@pytest.fixture
def desk(database: Database, open_desk: OpenDesk) -> Desk:
    """Both devices have been sent their third version."""
    add_devices(database)
    with database.write() as connection:
        for number in (LAMP, OTHER):
            row = Row(number, Record(version=3, state=State.SENT), {"x": 3}, placed=3)
            store.set_row(connection, INSTANCE, row, with_document=True)
    return open_desk(*registered())


def row(database: Database, number: int = LAMP) -> Row:
    with database.read() as connection:
        return store.rows(connection, INSTANCE, [number])[number]


def letters(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(dead_letters.c.reason)).scalars())


def test_a_report_moves_the_state_and_changes_nothing_that_is_desired(
    database: Database, desk: Desk
) -> None:
    before = row(database)
    desk.batch([packet(MINE, {"version": 3, "ok": True, "config": {"x": 4}, "seq": 1})])
    after = row(database)
    assert after.record.state is State.IN_SYNC
    assert json.loads(after.record.reported or "") == {"x": 4}
    assert (after.document, after.record.version, after.placed) == ({"x": 3}, 3, 3)
    assert replace(after, record=before.record) == before
    assert row(database, OTHER).record.state is State.SENT


@pytest.mark.attack("reports another device's settings")
def test_another_devices_report_changes_nothing(database: Database, desk: Desk) -> None:
    before = row(database)
    said = {"version": 3, "ok": False, "device": "a", "device_id": "a", "tenant": "acme"}
    for _ in range(REFUSALS_MAX):
        desk.batch([packet(THEIRS, {**said, "error": "no"})])
    assert row(database) == before
    assert row(database, OTHER).record.state is State.STOPPED


def test_a_redelivered_report_counts_once(database: Database, desk: Desk) -> None:
    refused = {"version": 3, "ok": False, "error": "too hot", "seq": 5, "ts": NOW - 10}
    desk.batch([packet(MINE, refused)])
    desk.batch([packet(MINE, refused)])
    assert (row(database).record.refusals, row(database).record.words) == (1, "too hot")
    desk.batch([packet(MINE, {"version": 3, "ok": True, "seq": 6, "ts": NOW - 5})])
    done = row(database)
    desk.batch([packet(MINE, refused)])
    desk.batch([packet(MINE, {"version": 2, "ok": True, "seq": 4, "ts": NOW - 20})])
    assert row(database) == done
    assert done.record.state is State.IN_SYNC


@pytest.mark.attack("reports settings that fill the database")
def test_what_is_too_large_is_not_kept(database: Database, desk: Desk) -> None:
    big = {"x": "y" * REPORTED_MAX_BYTES}
    desk.batch([packet(MINE, {"version": 3, "config": big})])
    after = row(database).record
    assert (after.state, after.reported) == (State.IN_SYNC, None)
    assert after.too_large > REPORTED_MAX_BYTES
    assert letters(database) == []


@pytest.mark.parametrize(
    "said",
    [
        {"version": 10**17},
        {"version": -1},
        {"version": "3; DROP TABLE devices"},
        {"version": [3]},
        {"version": None, "config": [1]},
        {"ok": False, "error": "\x00\x1b[31m" + "e" * 5000},
        {"config": {"\x00": "\ud800"}},
    ],
    ids=str,
)
@pytest.mark.attack("reports settings that cannot be stored")
def test_nonsense_moves_no_state_and_costs_nobody_else(
    database: Database, desk: Desk, said: dict[str, Any]
) -> None:
    desk.batch([packet(MINE, said), packet(THEIRS, {"version": 3})])
    assert row(database).record.state is State.SENT
    assert row(database, OTHER).record.state is State.IN_SYNC


def test_the_fifth_refusal_asks_the_worker_to_stop(database: Database, desk: Desk) -> None:
    some = [
        packet(MINE, {"version": 3, "ok": False, "error": f"no {n}", "seq": n})
        for n in range(1, REFUSALS_MAX + 1)
    ]
    desk.batch(some[:-1])
    with database.read() as connection:
        assert store.due(connection, 9) == []
    desk.batch(some[-1:])
    with database.read() as connection:
        assert store.due(connection, 9) == [LAMP]
    assert row(database).record.words == f"no {REFUSALS_MAX}"


def test_what_a_device_reports_is_sealed(database: Database, desk: Desk) -> None:
    desk.batch([packet(MINE, {"version": 3, "config": {"password": "hunter2"}})])
    with database.read() as connection:
        stored = connection.execute(sa.select(device_settings)).all()
    assert "hunter2" not in str(stored)
    assert "hunter2" in (row(database).record.reported or "")


def test_a_device_without_settings_shows_what_it_has(database: Database, desk: Desk) -> None:
    with database.write() as connection:
        connection.execute(sa.delete(device_settings))
    desk.batch([packet(MINE, {"version": 9, "config": {"x": 1}})])
    found = row(database)
    assert (found.record.state, found.record.version) == (State.NONE, 0)
    assert json.loads(found.record.reported or "") == {"x": 1}
