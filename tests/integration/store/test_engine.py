"""How connections behave: limits, and errors in Mooring's own words."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from mooring.errors import DatabaseUnavailable, InvalidSetting
from mooring.store import engine
from mooring.store.engine import Database, open_database, unhurried
from mooring.store.schema import counters
from tests.support.ports import free_port


@pytest.fixture
def short(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """PostgreSQL with little patience and few connections."""
    monkeypatch.setattr(engine, "STATEMENT_SECONDS", 1)
    monkeypatch.setattr(engine, "POOL_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(engine, "POOL_SIZE", 1)
    monkeypatch.setattr(engine, "POOL_OVERFLOW", 0)
    opened = open_database(database_url)
    yield opened
    opened.close()


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.insert(counters).values(name="a", value=1))
    with pytest.raises(LookupError), database.write() as connection:
        connection.execute(sa.insert(counters).values(name="b", value=1))
        raise LookupError
    with database.read() as connection:
        assert connection.execute(sa.select(counters.c.name)).scalars().all() == ["a"]


def test_writers_come_one_after_the_other(database: Database) -> None:
    """What was read in a transaction that writes is still so when it writes."""
    with database.write() as connection:
        connection.execute(sa.insert(counters).values(name="n", value=0))

    def add() -> None:
        for _ in range(10):
            with database.write() as connection:
                before = connection.execute(sa.select(counters.c.value)).scalar_one()
                connection.execute(sa.update(counters).values(value=before + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert connection.execute(sa.select(counters.c.value)).scalar_one() == 40


def test_a_silent_writer_does_not_hold_up_the_others(
    short: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WRITER_IDLE", "300ms")
    other = open_database(database_url)
    with pytest.raises(DatabaseUnavailable), short.write() as silent:
        with other.write() as connection:  # waits until the silent one is ended
            connection.exec_driver_sql("SELECT 1")
        silent.exec_driver_sql("SELECT 1")
    other.close()


def test_an_endless_statement_ends(short: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="statement timeout"), short.read() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(30)")
    with short.write() as connection:
        unhurried(connection)
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "0"
    with short.read() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "1s"


def test_all_connections_in_use(short: Database) -> None:
    with (
        short.read(),
        pytest.raises(DatabaseUnavailable, match="in use"),
        short.read(),
    ):
        pass


def test_a_lost_connection_is_replaced(short: Database, database_url: str) -> None:
    def mine() -> int:
        with short.read() as connection:
            return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    first = mine()
    assert mine() == first
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
        assert mine() != first
        with pytest.raises(DatabaseUnavailable), short.read() as connection:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (mine_in(connection),))
            connection.exec_driver_sql("SELECT 1")
    assert mine()


def test_a_connection_that_was_just_used_is_not_tried_again(
    short: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    ping = short.engine.dialect.do_ping

    def noted(connection: Any) -> bool:
        tried.append(connection)
        return ping(connection)

    monkeypatch.setattr(short.engine.dialect, "do_ping", noted)
    for _ in range(3):
        with short.read() as connection:
            mine_in(connection)
    before = len(tried)
    with short.read() as connection:
        mine_in(connection)
    assert len(tried) == before
    monkeypatch.setattr(engine, "PING_AFTER_SECONDS", 0.0)
    with short.read() as connection:
        mine_in(connection)
    assert len(tried) == before + 1


def test_a_brief_read_holds_no_transaction(short: Database) -> None:
    def state(connection: sa.Connection) -> TransactionStatus:
        mine_in(connection)
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver.info.transaction_status

    with short.read(brief=True) as connection:
        assert state(connection) is TransactionStatus.IDLE
    with short.read() as connection:
        assert state(connection) is TransactionStatus.INTRANS


def mine_in(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def test_nobody_there() -> None:
    database = open_database(f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none")
    with pytest.raises(DatabaseUnavailable) as caught, database.read():
        pass
    assert "secret" not in str(caught.value)
    database.close()


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense"])
def test_other_urls(url: str) -> None:
    with pytest.raises(InvalidSetting):
        open_database(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_schemes(scheme: str, database_url: str) -> None:
    database = open_database(database_url.replace("postgresql", scheme, 1))
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    database.close()


def test_what_need_not_last_does_not_wait_for_the_disk(database_url: str) -> None:
    """``early``: others see it, and can write, before it is on the disk; then it is there."""
    opened = open_database(database_url)
    told: list[tuple[str, list[str]]] = []

    def look(work: str, hints: Sequence[tuple[int | str, ...]]) -> None:
        assert hints == [(1, "lamp")]
        with opened.write(news=False) as other:  # the lock is free
            told.append((work, list(other.execute(sa.select(counters.c.name)).scalars())))

    def waits(connection: sa.Connection) -> str:
        return str(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())

    with opened.write() as connection:
        assert waits(connection) == "on"
        counters.create(connection)
    with opened.write(lasting=False) as connection:
        assert waits(connection) == "off"
    opened.follow_news(look)
    with opened.write(news="downlinks", early=True) as connection:
        assert waits(connection) == "off"
        connection.execute(sa.insert(counters).values(name="a", value=1))
        engine.notes_of(connection).hints.append((1, "lamp"))
        written = connection.exec_driver_sql("SELECT pg_current_wal_insert_lsn()").scalar_one()
    with opened.write(news=False) as connection:
        assert waits(connection) == "on"
        on_disk = sa.text("SELECT pg_current_wal_flush_lsn() > CAST(:written AS pg_lsn)")
        assert connection.execute(on_disk, {"written": written}).scalar_one()
    assert told == [("downlinks", ["a"])]
    opened.close()
