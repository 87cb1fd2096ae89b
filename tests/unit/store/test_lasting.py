"""What need not survive a power cut does not wait for the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.store.engine import Database, open_database

FULL, NORMAL = 2, 1


def level(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


@pytest.mark.parametrize(("of_engine", "usual"), [("FULL", FULL), ("NORMAL", NORMAL)])
def test_the_next_transaction_waits_for_the_disk_again(
    tmp_path: Path, of_engine: str, usual: int
) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'one.db'}", synchronous=of_engine)
    with database.write() as connection:
        assert level(connection) == usual
        connection.exec_driver_sql("CREATE TABLE some (id INTEGER)")
    with database.write(lasting=False) as connection:
        assert level(connection) == NORMAL
        connection.exec_driver_sql("INSERT INTO some VALUES (1)")
    with database.write() as connection:
        assert level(connection) == usual
    _fails(database)
    with database.read() as connection:
        assert level(connection) == usual
        assert connection.exec_driver_sql("SELECT id FROM some").scalars().all() == [1]
    database.close()


def _fails(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write(lasting=False) as connection:
        connection.exec_driver_sql("INSERT INTO some VALUES (2)")
        raise RuntimeError
