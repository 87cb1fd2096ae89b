from __future__ import annotations

from collections.abc import Iterator

import pytest

from mooring.changes import queue as change_queue
from mooring.store import migrate, versions
from mooring.store.engine import Database, open_database
from mooring.store.watch import Bell, Waiting


@pytest.fixture
def database(any_database_url: str) -> Iterator[Database]:
    opened = open_database(any_database_url)
    migrate.upgrade(opened)
    yield opened
    opened.close()


def test_the_bell_rings_for_a_change_and_falls_silent_when_it_is_settled(
    database: Database,
) -> None:
    bell = Bell(database)
    assert bell.look() == Waiting()
    with database.write() as connection:
        number = change_queue.enqueue(connection, "kick", "lamp")
    assert bell.look() == Waiting(changes=True)
    with database.write() as connection:
        change_queue.settle(connection, [number])
    assert bell.look() == Waiting()
    bell.close()


def test_a_postponed_change_rings_when_it_is_due_though_nobody_commits(
    database: Database,
) -> None:
    bell = Bell(database)
    with database.write() as connection:
        number = change_queue.enqueue(connection, "kick", "lamp")
        change_queue.postpone(connection, [number], 2**52, "later")
    assert bell.look() == Waiting()
    with database.write() as connection:
        change_queue.postpone(connection, [number], 0, "now")
    assert bell.look(whatever=True) == Waiting(changes=True)
    bell.close()


def test_other_peoples_commits_do_not_ring(database: Database) -> None:
    bell = Bell(database)
    bell.look()
    with database.write() as connection:
        versions.bump(connection, "devices")
    assert bell.look() == Waiting()
    bell.close()
