"""Waiting, briefly, until the broker has been notified of a change."""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa

from mooring.store.engine import Database
from mooring.store.processes import runs
from mooring.store.schema import broker_changes

__all__ = ["broker_runs", "wait_applied", "wait_for_broker"]

POLL_SECONDS = 0.01
ACCEPTANCE_SECONDS = 5.0  # that a command waits for the broker


def wait_applied(database: Database, ids: Sequence[int], timeout: float) -> bool:
    """Whether every one of these pending changes is settled within ``timeout`` seconds.

    A change that a later one made moot counts as settled. With a timeout of 0 it looks once.
    """
    if not ids:
        return True
    statement = sa.select(broker_changes.c.id).where(broker_changes.c.id.in_(ids)).limit(1)
    deadline = time.monotonic() + timeout
    while True:
        with database.read() as connection:
            if connection.execute(statement).first() is None:
                return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(POLL_SECONDS, left))


def wait_for_broker(
    database: Database, ids: Sequence[int], timeout: float = ACCEPTANCE_SECONDS
) -> bool:
    """As ``wait_applied``; looks only once where nothing runs that could tell the broker."""
    return wait_applied(database, ids, timeout if broker_runs(database) else 0.0)


def broker_runs(database: Database) -> bool:
    """Whether a process runs that applies changes to the broker."""
    with database.read() as connection:
        return runs(connection, "up")
