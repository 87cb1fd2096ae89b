"""Connections to a file of SQLite."""

from __future__ import annotations

from pathlib import Path

from mooring.store.engine import open_database


def test_connections_that_are_not_needed_stay_idle(tmp_path: Path) -> None:
    """Each has pages of the database in its own memory, so one is used as long as one will do."""
    database = open_database(f"sqlite:///{tmp_path / 'one.db'}")
    with database.read() as one, database.read() as two:
        assert one.connection.driver_connection is not two.connection.driver_connection
    used = set()
    for _ in range(5):
        with database.read() as connection:
            used.add(id(connection.connection.driver_connection))
    assert len(used) == 1
    database.close()
