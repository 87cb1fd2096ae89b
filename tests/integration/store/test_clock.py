"""The anchors of the guarded clock in both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from mooring import clock
from mooring.clock import Reading, Trust
from mooring.store import clock as stored
from mooring.store.engine import Database
from mooring.store.schema import clocks, device_state, leases

HOUR, DAY, YEAR = 3_600_000, 86_400_000, 365 * 86_400_000
NOW = 1_790_000_000_000


class Clocks:
    """The machine's clocks, as the test sets them."""

    def __init__(self) -> None:
        self.reading = Reading(NOW, 60_000, "boot-1")

    def read(self) -> Reading:
        return self.reading

    def passes(self, ms: int, *, stepped: int = 0) -> None:
        at = self.reading
        self.reading = replace(at, wall=at.wall + ms + stepped, steady=at.steady + ms)


@pytest.fixture
def clocks_now(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    now = Clocks()
    monkeypatch.setattr(clock, "read", now.read)
    yield now
    clock.install(None)


def deletes(database: Database) -> int | None:
    with database.read() as connection:
        return stored.deletion_time(connection)


def rows(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(clocks.c.boot).order_by(clocks.c.boot)).scalars())


def test_every_process_sees_the_step_and_its_end(database: Database, clocks_now: Clocks) -> None:
    stored.settle(database)
    assert deletes(database) == NOW
    clocks_now.passes(5_000, stepped=10 * YEAR)
    assert deletes(database) is None, "also before anybody has written it down"
    anchor = stored.settle(database)
    assert (anchor.off, clock.now_of(anchor, clocks_now.reading)) == (10 * YEAR, NOW + 5_000)
    clocks_now.passes(5_000, stepped=-10 * YEAR)
    stored.settle(database)
    assert deletes(database) == NOW + 10_000


def test_a_restart_with_a_wrong_clock_is_noticed(database: Database, clocks_now: Clocks) -> None:
    stored.settle(database)
    clocks_now.reading = Reading(NOW + 10 * YEAR, 500, "boot-2")
    assert deletes(database) is None, "a command that runs before the platform notices it too"
    stored.settle(database)
    assert deletes(database) is None
    assert rows(database) == ["boot-1", "boot-2"]


def test_a_confirmed_clock_is_right(database: Database, clocks_now: Clocks) -> None:
    stored.settle(database)
    clocks_now.passes(5_000, stepped=10 * YEAR)
    stored.settle(database)
    with database.write() as connection:
        stored.confirm(connection)
    assert deletes(database) == NOW + 5_000 + 10 * YEAR
    assert stored.settle(database).trust is Trust.SETTLED


def test_nothing_stays_in_the_future_after_the_time_went_back(
    database: Database, clocks_now: Clocks
) -> None:
    """A wrong time that was accepted, then set right and confirmed."""
    clocks_now.passes(0, stepped=10 * YEAR)
    stored.settle(database)
    wrong = clocks_now.reading.wall
    with database.write() as connection:
        connection.execute(sa.insert(leases).values(name="w", holder="gone", until=wrong))
        connection.execute(sa.insert(device_state).values(device_id=1, last_seen_at=wrong))
    clocks_now.passes(1_000, stepped=-10 * YEAR)
    with database.write() as connection:
        stored.confirm(connection)
    with database.read() as connection:
        assert connection.execute(sa.select(leases.c.until)).scalar_one() == NOW + 1_000
        seen = connection.execute(sa.select(device_state.c.last_seen_at)).scalar_one()
    assert seen == NOW + 1_000


def test_a_database_from_a_wrong_time_heals_at_the_first_start(
    database: Database, clocks_now: Clocks
) -> None:
    """As one that was written before clocks were guarded."""
    with database.write() as connection:
        connection.execute(
            sa.insert(device_state).values(device_id=1, last_seen_at=NOW + 10 * YEAR)
        )
    stored.settle(database)
    with database.read() as connection:
        assert connection.execute(sa.select(device_state.c.last_seen_at)).scalar_one() == NOW


def test_a_clock_that_was_never_set_takes_no_date_back(
    database: Database, clocks_now: Clocks
) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(device_state).values(device_id=1, last_seen_at=NOW))
    clocks_now.reading = Reading(60_000, 60_000, "boot-1")
    stored.settle(database)
    with database.read() as connection:
        assert connection.execute(sa.select(device_state.c.last_seen_at)).scalar_one() == NOW


def test_boots_are_remembered_in_number(database: Database, clocks_now: Clocks) -> None:
    for number in range(stored.BOOTS_MAX + 5):
        clocks_now.reading = Reading(NOW + number * HOUR, 1_000, f"boot-{number:03}")
        stored.settle(database)
    assert len(rows(database)) == stored.BOOTS_MAX
    assert rows(database)[-1] == f"boot-{stored.BOOTS_MAX + 4:03}"


def test_a_row_is_not_written_at_every_look(database: Database, clocks_now: Clocks) -> None:
    first = stored.settle(database)
    clocks_now.passes(stored.WRITE_MS // 2)
    assert stored.settle(database) == first
    clocks_now.passes(stored.WRITE_MS)
    assert stored.settle(database).steady == clocks_now.reading.steady
