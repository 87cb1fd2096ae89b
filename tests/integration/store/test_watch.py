from __future__ import annotations

import pytest
import sqlalchemy as sa

from mooring.changes import queue as change_queue
from mooring.store import versions
from mooring.store.engine import Database, Noted, now_ms
from mooring.store.schema import broker_changes
from mooring.store.watch import Bell, Waiting
from tests.support.waiting import wait_until


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


def test_a_change_rings_when_its_grace_is_over_though_nobody_commits(database: Database) -> None:
    noted: list[Noted] = []
    database.follow_changes(noted.extend, grace_ms=200)
    bell = Bell(database)
    with database.write() as connection:
        number = change_queue.enqueue(connection, "put", "lamp")
        assert not noted  # nothing is committed yet
    assert noted == [Noted(number, "put", "lamp")]
    with database.read() as connection:
        (due,) = connection.execute(
            sa.select(broker_changes.c.next_at - broker_changes.c.created_at)
        ).one()
    assert due == 200
    assert bell.look() == Waiting()
    wait_until(lambda: bell.look() == Waiting(changes=True), "the change to be due")
    # Time alone made it due: there was no other commit, and ``whatever`` was not asked for.
    bell.close()


def test_changes_of_a_transaction_that_failed_are_nobodys(database: Database) -> None:
    noted: list[Noted] = []
    database.follow_changes(noted.extend, grace_ms=200)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        change_queue.enqueue(connection, "put", "lamp")
        raise ZeroDivisionError
    with database.write() as connection:
        change_queue.enqueue(connection, "replace", "")  # of all: another process does that
    assert noted == []
    with database.read() as connection:
        assert change_queue.due_changes(connection, now_ms()) != []


def test_other_peoples_commits_do_not_ring(database: Database) -> None:
    bell = Bell(database)
    bell.look()
    with database.write() as connection:
        versions.bump(connection, "devices")
    assert bell.look() == Waiting()
    bell.close()
