"""What need not survive a power cut does not wait for the disk."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.errors import DatabaseUnavailable
from mooring.store import engine
from mooring.store.engine import Database, open_database
from mooring.store.leases import Lease
from mooring.store.schema import leases

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


def test_others_see_it_before_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "one.db"
    database = open_database(f"sqlite:///{file}")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE some (id INTEGER)")
    synced: list[tuple[int, list[int]]] = []

    def sync(descriptor: int) -> None:
        with database.read() as connection:
            seen = connection.exec_driver_sql("SELECT id FROM some").scalars().all()
        synced.append((os.fstat(descriptor).st_ino, list(seen)))

    monkeypatch.setattr(engine, "_sync", sync)
    with database.write(early=True) as connection:
        assert level(connection) == NORMAL
        connection.exec_driver_sql("INSERT INTO some VALUES (1)")
    assert synced == [(Path(f"{file}-wal").stat().st_ino, [1])]
    with database.write() as connection:
        assert level(connection) == FULL
    with pytest.raises(RuntimeError), database.write(early=True) as connection:
        raise RuntimeError
    assert len(synced) == 1  # nothing was committed

    def broken(_descriptor: int) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(engine, "_sync", broken)
    with pytest.raises(DatabaseUnavailable), database.write(early=True) as connection:
        connection.exec_driver_sql("INSERT INTO some VALUES (2)")
    database.close()


def test_a_database_that_never_waits_for_the_disk_does_not_begin_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_sync", lambda _: pytest.fail("it waits for the disk"))
    database = open_database(f"sqlite:///{tmp_path / 'one.db'}", synchronous="NORMAL")
    with database.write(early=True) as connection:
        connection.exec_driver_sql("CREATE TABLE some (id INTEGER)")
    database.close()


def _fails(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write(lasting=False) as connection:
        connection.exec_driver_sql("INSERT INTO some VALUES (2)")
        raise RuntimeError


def test_a_lease_lasts_and_its_renewal_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that is lost leaves the former one, which lasts longer than it is believed."""
    database = open_database(f"sqlite:///{tmp_path / 'one.db'}")
    with database.write() as connection:
        leases.create(connection)
    write, lasting = database.write, []

    def noted(*, news: bool, lasting_: bool) -> AbstractContextManager[sa.Connection]:
        lasting.append(lasting_)
        return write(news=news, lasting=lasting_)

    monkeypatch.setattr(
        database, "write", lambda *, news, lasting: noted(news=news, lasting_=lasting)
    )
    lease = Lease(database, "work", lease_ms=1)
    for _ in range(3):
        assert lease.held()
        time.sleep(0.005)  # longer than it lasts
    assert lasting == [True, False, False]
    database.close()
