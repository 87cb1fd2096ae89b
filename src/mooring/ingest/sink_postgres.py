"""A batch into PostgreSQL: one transaction, three trips to the server.

Messages go in by binary COPY, straight into their table; it costs half of what going through
a staging table does. COPY knows no ON CONFLICT, so when a message of the batch is there
already, the server refuses, and the same rows go in by INSERT … ON CONFLICT DO NOTHING. Where
there was one repetition more follow (a device sends its buffer again), so INSERT is used until
a batch comes without.

What a broken connection leaves open: whether a COMMIT was done. Each batch therefore carries
a mark of its own, written as the first thing of its transaction (``ingest_attempts``). Trying
the batch again writes the same mark; when it is there, the batch is stored. A server process
that still works on the lost transaction holds the row, and is waited for.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import psycopg
from psycopg import errors
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from mooring.errors import DatabaseUnavailable, DatabaseUnusable
from mooring.ingest import postgres_statements as sql
from mooring.ingest.isolate import refuses
from mooring.ingest.ledger import pack
from mooring.ingest.plan import DeadLetter, Plan, UnknownDevice
from mooring.ingest.postgres_connection import connect
from mooring.ingest.postgres_rows import (
    columns_of,
    counted_of,
    first_seen,
    times_of,
    write_counters,
    write_dead,
    write_latest,
    write_unknown,
    write_usage,
)
from mooring.ingest.projections import NotProjected, Prepared, Projections
from mooring.ingest.rows import MessageRow
from mooring.ingest.sink import Committed, versions_of
from mooring.ingest.write_isolated import newest_of, write_isolated
from mooring.store import partitions
from mooring.store.engine import now_ms
from mooring.store.faults import Judgement, first_line, judge
from mooring.store.partitions import Partitions, week_of
from mooring.store.shared import shared_connection
from mooring.store.urls import parse_url, postgres_arguments

__all__ = ["PostgresSink"]

log = logging.getLogger(__name__)

COPY_FROM = 32  # fewer rows go by INSERT: one trip less


@dataclass(slots=True)
class _Attempt:
    """A batch whose COMMIT has not been answered yet."""

    plan: Plan
    token: int
    prepared: Prepared = field(default_factory=list)
    committed: Committed = field(default=Committed(0, 0))


class PostgresSink:
    """See ``mooring.ingest.sink.Sink``. Connects when it is first asked something, and
    again after each lost connection.

    Args:
        url: a SQLAlchemy or libpq URL.
        dead_letters_max: dead letters kept.
        strangers_max: unknown devices listed, of tenants that do not exist.
        unknown_max: of each tenant that exists.
        projections: what else follows from messages.
    """

    waits = True

    def __init__(
        self,
        url: str,
        *,
        dead_letters_max: int = 1_000_000,
        strangers_max: int = 10_000,
        unknown_max: int = 2_000,
        projections: Projections | None = None,
    ) -> None:
        self._projections = projections or Projections()
        self._arguments = postgres_arguments(parse_url(url))
        self._dead_letters_max = dead_letters_max
        self._strangers_max = strangers_max
        self._unknown_max = unknown_max
        self._connection: psycopg.Connection | None = None
        self._core: Connection | None = None  # over the same connection
        self._partitions = Partitions(0, frozenset())
        self._attempt: _Attempt | None = None
        self._repeats = False
        self._free = range(0)  # ids taken from the sequence and not used yet

    def versions(self) -> tuple[int, int]:
        with self._working() as connection:
            found = dict(connection.execute(sql.VERSIONS).fetchall())
        return versions_of(found)

    def ledger(self, client_id: str) -> list[tuple[int, bytes]]:
        with self._working() as connection:
            return connection.execute(
                "SELECT batch, packets FROM ingest_ledger WHERE client_id = %s ORDER BY batch",
                (client_id,),
            ).fetchall()

    def expect(self, devices: int) -> None:
        """The server sizes its own log."""

    def commit(self, plan: Plan, client_id: str, batch: int, forget: int) -> Committed:
        attempt = self._attempt
        if attempt is None or attempt.plan is not plan:
            attempt = self._attempt = _Attempt(plan, secrets.randbits(63))
        with self._working() as connection:
            try:
                committed = self._write_either_way(connection, attempt, client_id, batch, forget)
            except errors.CheckViolation:
                # The only check is whether there is a partition: one was dropped meanwhile.
                self._partitions = Partitions(self._partitions.floor, frozenset())
                raise
        self._attempt = None
        return committed

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._core = None

    @property
    def core(self) -> Connection:
        """SQLAlchemy over the connection of the open transaction."""
        assert self._core is not None, "not connected"
        return self._core

    # ------------------------------------------------------------------ the connection

    @contextlib.contextmanager
    def _working(self) -> Iterator[psycopg.Connection]:
        """A connection that works; what breaks on it is translated."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            yield self._connection
        except (psycopg.Error, DBAPIError) as exc:
            self._recover()
            found = judge(exc)
            fatal = found.judgement is Judgement.FATAL
            raise (DatabaseUnusable if fatal else DatabaseUnavailable)(
                f"The database does not accept the batch: {first_line(_of_driver(exc))}.",
                hint=found.remedy,
            ) from exc
        except BaseException:
            self._recover()
            raise

    def _connect(self) -> psycopg.Connection:
        connection = connect(self._arguments)
        try:
            self._partitions = Partitions.of(connection.execute(partitions.LISTED).fetchall())
            self._make(connection, partitions.ahead(now_ms()))
            self._core = shared_connection("postgresql", connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _recover(self) -> None:
        """Back to a connection outside of any transaction, or to none."""
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except psycopg.Error:
            self.close()

    def _make(self, connection: psycopg.Connection, times: Iterable[int]) -> None:
        """Partitions for these times, where they are missing."""
        missing = self._partitions.missing(times)
        if not missing:
            return
        with connection.transaction():
            for statement in partitions.statements_for(missing):
                connection.execute(statement.encode())
        self._partitions = Partitions.of(connection.execute(partitions.LISTED).fetchall())

    # ------------------------------------------------------------------ one batch

    def _write_either_way(
        self,
        connection: psycopg.Connection,
        attempt: _Attempt,
        client_id: str,
        batch: int,
        forget: int,
    ) -> Committed:
        try:
            attempt.prepared = self._projections.prepare(attempt.plan)
            return self._write(connection, attempt, client_id, batch, forget)
        except Exception as exc:
            if not (isinstance(exc, NotProjected) or refuses(exc)):
                raise
            connection.rollback()
            log.warning("a batch holds a value that cannot be stored: %s", first_line(exc))
        return self._write_isolated(connection, attempt, client_id, batch, forget)

    def _write(
        self,
        connection: psycopg.Connection,
        attempt: _Attempt,
        client_id: str,
        batch: int,
        forget: int,
    ) -> Committed:
        plan = attempt.plan
        self._make_for(connection, plan.messages)
        spans = self._ids(connection, len(plan.messages))
        cursor = connection.cursor()
        copying = len(plan.messages) >= COPY_FROM and not self._repeats
        counted = counted_of(plan.messages)
        inserted = None
        with connection.pipeline():
            cursor.execute("BEGIN")
            claimed = connection.execute(sql.CLAIM, (client_id, attempt.token))
            if copying:
                cursor.execute("SAVEPOINT before")
            elif plan.messages and not counted:  # nothing to wait for: in the same trip
                inserted = connection.execute(sql.INSERT, columns_of(spans, plan.messages))
        if claimed.rowcount == 0:
            connection.rollback()
            return attempt.committed
        rows = first_seen(cursor, plan.messages, counted) if counted else plan.messages
        if copying and counted:
            cursor.execute("SAVEPOINT before")  # again: what was just noted must stay
        new: Sequence[MessageRow] = ()
        if inserted is not None:
            new = _returned(inserted, spans, rows)
            self._repeats = len(new) < len(rows)
        elif rows:
            new = self._store(cursor, spans, rows, copying=copying)
        stored = len(new)
        added = _added(plan, new) if plan.watched else ()
        with connection.pipeline():
            if stored:
                self._queue(cursor, spans, rows)
            # Several topics may lead to one channel of a device.
            write_latest(cursor, newest_of([row for row, _ in plan.newest.values()]))
            effects = self._projections.apply(self.core, plan, attempt.prepared, added)
            attempt.committed = Committed(stored, len(plan.messages) - stored, tuple(effects))
            if plan.dead:
                write_dead(cursor, plan.dead, self._dead_letters_max)
            if plan.unknown:
                write_unknown(
                    cursor, list(plan.unknown.values()), self._unknown_max, self._strangers_max
                )
            write_usage(cursor, plan, new)
            self._finish(cursor, attempt, client_id, batch, forget)
        return attempt.committed

    def _write_isolated(
        self,
        connection: psycopg.Connection,
        attempt: _Attempt,
        client_id: str,
        batch: int,
        forget: int,
    ) -> Committed:
        """The same where a value is rejected."""
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        if cursor.execute(sql.CLAIM, (client_id, attempt.token)).rowcount == 0:
            connection.rollback()
            return attempt.committed
        attempt.committed = write_isolated(
            attempt.plan, _Steps(self, connection), self._projections, now_ms()
        )
        self._finish(cursor, attempt, client_id, batch, forget)
        return attempt.committed

    def _add(
        self, connection: psycopg.Connection, rows: Sequence[MessageRow]
    ) -> Sequence[MessageRow]:
        """Adds some messages of a batch within its transaction; those that were new."""
        self._make_for(connection, rows)
        spans = self._ids(connection, len(rows))
        cursor = connection.cursor()
        counted = counted_of(rows)
        some = first_seen(cursor, rows, counted) if counted else rows
        if not some:
            return []
        new = _returned(cursor.execute(sql.INSERT, columns_of(spans, some)), spans, some)
        if new:
            self._queue(cursor, spans, some)
        return new

    def _queue(
        self, cursor: psycopg.Cursor[Any], spans: Iterable[range], rows: Sequence[MessageRow]
    ) -> None:
        first, last = times_of(rows)
        for span in spans:
            cursor.execute(sql.QUEUE, (span[0], span[-1], first, last))
            cursor.execute(sql.RULES, (span[0], span[-1], first, last))

    def _finish(
        self,
        cursor: psycopg.Cursor[Any],
        attempt: _Attempt,
        client_id: str,
        batch: int,
        forget: int,
    ) -> None:
        packets = attempt.plan.packets
        if packets:
            cursor.execute(sql.LEDGER, (client_id, batch, pack(packets)))
            if forget:
                cursor.execute(sql.FORGET, (client_id, forget))
        write_counters(cursor, attempt.plan, attempt.committed)
        cursor.execute("COMMIT")

    def _make_for(self, connection: psycopg.Connection, rows: Sequence[MessageRow]) -> None:
        if not rows:
            return
        first, last = times_of(rows)
        if week_of(first) == week_of(last):
            self._make(connection, (first,))
        else:
            self._make(connection, (r[2] for r in rows))

    def _ids(self, connection: psycopg.Connection, count: int) -> list[range]:
        """Ids for this many rows, in few spans without a gap: mostly in one."""
        spans = []
        while count:
            if not self._free:
                first, step = connection.execute(sql.BLOCK).fetchall()[0]
                self._free = range(first, first + step)
            spans.append(self._free[:count])
            self._free = self._free[count:]
            count -= len(spans[-1])
        return spans

    def _store(
        self,
        cursor: psycopg.Cursor[Any],
        spans: Iterable[range],
        rows: Sequence[MessageRow],
        *,
        copying: bool,
    ) -> Sequence[MessageRow]:
        """Adds the messages that do not exist yet; those that were new."""
        if copying:
            try:
                with cursor.copy(sql.COPY) as copy:
                    copy.set_types(sql.COPY_TYPES)
                    for number, row in zip(chain(*spans), rows, strict=False):
                        copy.write_row((number, *row))
            except errors.UniqueViolation:
                cursor.execute("ROLLBACK TO before")
            else:
                return rows
        cursor.execute(sql.INSERT, columns_of(spans, rows))
        new = _returned(cursor, spans, rows)
        self._repeats = len(new) < len(rows)
        return new


def _returned(
    cursor: psycopg.Cursor[Any], spans: Iterable[range], rows: Sequence[MessageRow]
) -> Sequence[MessageRow]:
    """Those of the rows that were added, by their ids."""
    if cursor.rowcount == len(rows):
        return rows
    ids = {number for (number,) in cursor.fetchall()}
    return [row for number, row in zip(chain(*spans), rows, strict=False) if number in ids]


def _added(plan: Plan, new: Sequence[MessageRow]) -> list[int]:
    """The places of those of ``plan.watched`` that were added."""
    found = {id(row) for row in new}
    return [place for place in plan.watched if id(plan.messages[place]) in found]


def _of_driver(exc: Exception) -> BaseException:
    return exc.orig or exc if isinstance(exc, DBAPIError) else exc


class _Steps:
    """See ``write_isolated.Steps``: each in trips of its own, and without COPY."""

    def __init__(self, sink: PostgresSink, connection: psycopg.Connection) -> None:
        self._sink = sink
        self._connection = connection
        self._cursor = connection.cursor()
        self.connection = sink.core

    def savepoint(self) -> AbstractContextManager[object]:
        return self._connection.transaction()

    def messages(self, plan: Plan, places: Sequence[int]) -> tuple[int, Collection[int]]:
        new = self._sink._add(self._connection, [plan.messages[place] for place in places])
        write_usage(self._cursor, plan, new)
        return len(new), _added(plan, new) if plan.watched else ()

    def latest(self, rows: Sequence[MessageRow]) -> None:
        write_latest(self._cursor, rows)

    def dead(self, letters: Sequence[DeadLetter]) -> None:
        write_dead(self._cursor, letters, self._sink._dead_letters_max)

    def unknown(self, devices: Sequence[UnknownDevice]) -> None:
        sink = self._sink
        write_unknown(self._cursor, devices, sink._unknown_max, sink._strangers_max)
