"""How long SQLite's log may be, by the number of devices that send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.errors import DatabaseUnavailable
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.store.engine import LOG_BYTES, LOG_BYTES_MAX, PAGE_BYTES, log_bytes


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SqliteSink]:
    made = SqliteSink(tmp_path / "mooring.db")
    yield made
    made.close()


def limits(sink: SqliteSink) -> tuple[int, int]:
    """Pages until the log is brought into the database file, and bytes that it keeps."""

    def ask(name: str) -> int:
        return int(sink.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    return ask("wal_autocheckpoint"), ask("journal_size_limit")


def test_it_grows_with_the_fleet_and_has_an_end() -> None:
    assert log_bytes(0) == log_bytes(20) == log_bytes(1_000) == LOG_BYTES
    assert log_bytes(10_000) == 4 * PAGE_BYTES * 10_000
    assert log_bytes(1_000_000) == LOG_BYTES_MAX


def test_ingest_sizes_it_for_its_devices(sink: SqliteSink) -> None:
    usual = (LOG_BYTES // PAGE_BYTES, LOG_BYTES)
    assert limits(sink) == usual
    sink.expect(20)
    assert limits(sink) == usual
    sink.expect(10_000)
    assert limits(sink) == (40_000, 40_000 * PAGE_BYTES)
    sink.expect(20)
    assert limits(sink) == usual


def test_pages_of_another_size_make_a_log_of_the_same_length(tmp_path: Path) -> None:
    """A database of an earlier version keeps its pages."""
    made = SqliteSink(tmp_path / "mooring.db")
    made.connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
    made.connection.exec_driver_sql("PRAGMA page_size = 16384")
    made.connection.exec_driver_sql("VACUUM")
    made.expect(10_000)
    assert limits(made) == (10_000, 10_000 * 16_384)
    made.close()


def test_a_connection_that_is_closed_is_an_unavailable_database(tmp_path: Path) -> None:
    made = SqliteSink(tmp_path / "mooring.db")
    made.close()
    with pytest.raises(DatabaseUnavailable):
        made.expect(10_000)
