"""Moving an installation from SQLite to PostgreSQL: every row, counted and checked.

The source is held by a write lock meanwhile, so it cannot change; the target is written in one
transaction, so it holds everything or nothing. Before that is committed, each table is read
back and compared by the number of its rows and a checksum over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import psycopg.sql
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from xxhash import xxh3_64_intdigest

from mooring.errors import Conflict, DatabaseUnavailable, Internal, Invalid
from mooring.store import migrate, partitions
from mooring.store.engine import Database, now_ms, unhurried
from mooring.store.processes import alive
from mooring.store.schema import declared_for, leases, messages, metadata, processes

__all__ = ["Copied", "copy_database", "count_rows"]

# Who runs and who holds which work: of no use to processes that start again.
PASSING = (processes, leases)
FETCH = 5000

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """One table: its rows, and a checksum over them that does not depend on their order."""

    table: str
    rows: int
    checksum: int


def copy_database(
    source: Database, target: Database, report: Callable[[int], None] = lambda _done: None
) -> list[Copied]:
    """Copies everything; the target is migrated first and must be empty otherwise.

    Args:
        source: a SQLite database at the newest revision.
        target: a PostgreSQL database.
        report: called with the number of rows done so far: each counts twice, once when it is
            written and once when it is read back.

    Raises:
        Invalid: the engines are others.
        Conflict: Mooring runs on the source, the source is not migrated, or the target is not
            empty.
        DatabaseUnavailable: one of the two does not work; the target is as it was.
        Internal: what was read back is not what was written; nothing was committed.
    """
    _require_sqlite(source)
    if target.is_sqlite:
        raise Invalid(
            "The target of a copy must be PostgreSQL.",
            hint="Use a postgresql:// URL.",
            code="copy_target",
        )
    migrate.upgrade(target)
    with source.write() as reading, target.write() as writing:
        _require_stopped(reading)
        _require_empty(writing)
        unhurried(writing)
        _make_room(reading, writing)
        # What its triggers count is copied too.
        writing.exec_driver_sql("ALTER TABLE dead_letters DISABLE TRIGGER USER")
        done = 0
        copied = []
        for table in _tables():
            sent = _send(reading, writing, table, partial(_further, report, done))
            done += sent.rows
            back = _summed(table, _rows_of(writing, table), partial(_further, report, done))
            done += back.rows
            if sent != back:
                raise Internal(
                    f"The table {table.name} was not copied exactly: {sent.rows} rows were "
                    f"sent and {back.rows} are there, or differ. Nothing was kept.",
                    hint="Please report it. The source is unchanged.",
                )
            copied.append(sent)
        _derive(reading, writing)
        writing.exec_driver_sql("ALTER TABLE dead_letters ENABLE TRIGGER USER")
        return copied


def count_rows(source: Database) -> int:
    """How many rows there are to copy.

    Raises:
        Invalid, Conflict: as ``copy_database``, if the source is at fault.
    """
    _require_sqlite(source)
    with source.read() as connection:
        return sum(
            int(connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one())
            for t in _tables()
        )


def _further(report: Callable[[int], None], before: int, done: int) -> None:
    report(before + done)


# ------------------------------------------------------------------ before


def _tables() -> list[sa.Table]:
    """What both engines have, referred ones first."""
    return [
        table
        for table in metadata.sorted_tables
        if table not in PASSING and declared_for(table, "sqlite")
    ]


def _require_sqlite(source: Database) -> None:
    if not source.is_sqlite:
        raise Invalid(
            "The source of a copy must be SQLite, and this installation already uses PostgreSQL.",
            hint="For PostgreSQL to PostgreSQL use pg_dump and pg_restore.",
            code="copy_source",
        )
    migrate.require_current(source)


def _require_stopped(source: Connection) -> None:
    running = source.execute(sa.select(processes.c.name).where(alive())).scalars().all()
    if running:
        raise Conflict(
            f"Mooring runs on this database: {', '.join(sorted(running))}.",
            hint="Stop `mooring up` first. After a crash, wait 20 seconds. The broker may keep "
            "running: it queues the messages of devices.",
            code="still_running",
        )


def _require_empty(target: Connection) -> None:
    full = [
        table.name
        for table in metadata.sorted_tables
        if declared_for(table, "postgresql")
        and target.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
    ]
    if full:
        raise Conflict(
            f"The target is not empty: there are rows in {', '.join(sorted(full))}.",
            hint="Use a new, empty database.",
            code="target_not_empty",
        )


def _make_room(source: Connection, target: Connection) -> None:
    """Partitions for every week in which messages were received; what devices with slow clocks
    date before that goes where all such messages go."""
    first = source.execute(sa.select(sa.func.min(messages.c.received_at))).scalar()
    partitions.lay_floor(target, now_ms() if first is None else first)
    week = (messages.c.ts - partitions.MONDAY_MS) // partitions.WEEK_MS
    weeks = source.execute(sa.select(week).distinct()).scalars()
    times = [number * partitions.WEEK_MS + partitions.MONDAY_MS for number in weeks]
    partitions.create(target, [*times, *partitions.ahead(now_ms())])


# ------------------------------------------------------------------ the rows


def _send(
    source: Connection, target: Connection, table: sa.Table, report: Callable[[int], None]
) -> Copied:
    driver = target.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    names = [psycopg.sql.Identifier(column.name) for column in table.columns]
    statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(
        psycopg.sql.Identifier(table.name), psycopg.sql.SQL(", ").join(names)
    )
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:

            def written() -> Iterator[Row]:
                for row in _rows_of(source, table):
                    copy.write_row(row)
                    yield row

            return _summed(table, written(), report)
    except (psycopg.DataError, psycopg.IntegrityError) as exc:
        raise Internal(
            f"PostgreSQL rejects a row of the table {table.name}: {str(exc).splitlines()[0]}.",
            hint="Please report it. Nothing was copied, and the source is unchanged.",
        ) from exc
    except psycopg.Error as exc:
        raise DatabaseUnavailable(
            f"The target does not accept the table {table.name}: {str(exc).splitlines()[0]}.",
            hint="Nothing was copied. Check that it runs and has disk space, then try again.",
        ) from exc


def _rows_of(connection: Connection, table: sa.Table) -> Iterator[Row]:
    """Every row, in pieces, as both engines can hold it."""
    statement = sa.select(*table.columns).order_by(*table.primary_key.columns)
    if connection.dialect.name != "sqlite":
        statement = statement.order_by(None)  # the checksum does not ask for an order
    result = connection.execute(statement, execution_options={"yield_per": FETCH})
    texts = [n for n, c in enumerate(table.columns) if isinstance(c.type, sa.String)]
    for row in result:
        values = tuple(row)
        # PostgreSQL knows no U+0000 in a text; ingest writes the same in its place.
        if any("\0" in (values[n] or "") for n in texts):
            values = tuple(v.replace("\0", "\ufffd") if type(v) is str else v for v in values)
        yield values


def _summed(table: sa.Table, rows: Iterable[Row], report: Callable[[int], None]) -> Copied:
    number = total = 0
    for row in rows:
        number += 1
        total += xxh3_64_intdigest(repr(row).encode())
        if number % FETCH == 0:
            report(number)
    report(number)
    return Copied(table.name, number, total & 0xFFFF_FFFF_FFFF_FFFF)


# ------------------------------------------------------------------ after


def _derive(source: Connection, target: Connection) -> None:
    """What only PostgreSQL keeps, and where each table's numbers continue."""
    target.exec_driver_sql(
        "INSERT INTO message_numbers (device_id, seq, fingerprint, ts)"
        " SELECT device_id, seq, fingerprint, ts FROM messages"
        " WHERE time_source <> 0 AND seq IS NOT NULL"
    )
    # SQLite remembers the highest number ever given, also of rows that are gone.
    given: Sequence[Any] = source.exec_driver_sql("SELECT name, seq FROM sqlite_sequence").all()
    highest = {name: int(number) for name, number in given}
    for table in _tables():
        column = table.autoincrement_column
        if column is None or not isinstance(column.type, sa.Integer):
            continue
        there = target.execute(sa.select(sa.func.max(column))).scalar() or 0
        last = max(there, highest.get(table.name, 0))
        if last:
            target.execute(
                sa.text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"),
                {"table": table.name, "column": column.name, "last": last},
            )
