"""A batch into SQLite: prepared statements on a connection of its own, one transaction."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from mooring.errors import DatabaseUnavailable, DatabaseUnusable
from mooring.ingest.isolate import refuses
from mooring.ingest.ledger import pack
from mooring.ingest.plan import DeadLetter, Plan, UnknownDevice
from mooring.ingest.projections import NotProjected, Prepared, Projections
from mooring.ingest.rows import AHEAD_MS, MessageRow
from mooring.ingest.sink import REPEAT_WINDOW_MS, Committed, versions_of
from mooring.ingest.write_isolated import write_isolated
from mooring.store import usage
from mooring.store.engine import LOG_BYTES, log_bytes, now_ms, sqlite_pragmas
from mooring.store.faults import Judgement, first_line, judge
from mooring.store.shared import shared_connection

__all__ = ["SqliteSink"]

log = logging.getLogger(__name__)

# A short wait only: ingest itself waits between tries, so that it can continue talking to the
# broker while somebody else holds the database.
LOCK_WAIT_MS = 200

_MESSAGE = (
    "INSERT OR IGNORE INTO messages (device_id, channel_id, ts, received_at, seq, time_source,"
    " fingerprint, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
# What is older than that is not a repetition any more: it gives up its fingerprint.
_RETIRE = (
    "UPDATE messages SET fingerprint = id WHERE device_id = ? AND seq = ? AND fingerprint = ?"
    " AND time_source <> 0 AND seq IS NOT NULL AND received_at < ?"
)


def _compared(row: str) -> str:
    """As ``rows.is_newer`` compares: a time that is ahead counts as that of arrival."""
    return (
        f"CASE WHEN {row}.ts > {row}.received_at + {AHEAD_MS}"
        f" THEN {row}.received_at ELSE {row}.ts END"
    )


_LATEST = (
    "INSERT INTO latest (device_id, channel_id, ts, received_at, time_source, payload)"  # noqa: S608 - constants
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device_id, channel_id) DO UPDATE SET"
    " ts = excluded.ts, received_at = excluded.received_at,"
    " time_source = excluded.time_source, payload = excluded.payload"
    # As ``rows.is_newer``.
    f" WHERE {_compared('excluded')} >= {_compared('latest')}"
    " OR ((excluded.time_source <> 0 OR latest.time_source <> 0)"
    " AND excluded.received_at >= latest.received_at)"
)
_DEAD = (
    "INSERT INTO dead_letters (received_at, reason, detail, topic, tenant, device_id, size,"
    " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_TRIM_DEAD = "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - ?"
_UNKNOWN = (
    "INSERT INTO strangers (dialect, tenant, name, first_seen_at, last_seen_at, messages,"
    " last_topic, registered_at, registration) SELECT ?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8 WHERE"
    " EXISTS (SELECT 1 FROM strangers WHERE dialect = ?1 AND tenant = ?2 AND name = ?3) OR"
    # Each tenant has a list of its own. Tenants that nobody has created share one.
    " CASE WHEN EXISTS (SELECT 1 FROM tenants WHERE name = ?2)"
    " THEN (SELECT count(*) FROM (SELECT 1 FROM strangers WHERE tenant = ?2 LIMIT ?9)) < ?9"
    " ELSE (SELECT count(*) FROM strangers) < ?10 END"
    " ON CONFLICT (dialect, tenant, name) DO UPDATE SET"
    " last_seen_at = excluded.last_seen_at, messages = messages + excluded.messages,"
    " last_topic = excluded.last_topic,"
    " registered_at = coalesce(excluded.registered_at, registered_at),"
    " registration = coalesce(excluded.registration, registration)"
)
_COUNT = (
    "INSERT INTO counters (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
)
# In one transaction, which is the only writer, the numbers of new rows follow on one another.
_ROLL_UP = (
    "INSERT INTO rollup_queue (first_id, last_id, first_ts, last_ts, claimed)"
    " VALUES (?, ?, ?, ?, 0)"
    # Numbers of deleted rows come round, and an entry for those may still be there.
    " ON CONFLICT (first_id) DO UPDATE SET last_id = max(last_id, excluded.last_id),"
    " first_ts = min(first_ts, excluded.first_ts), last_ts = max(last_ts, excluded.last_ts),"
    " claimed = 0"
)
# What rules have not seen, while there are any.
_RULES = (
    "INSERT INTO rule_queue (first_id, last_id, first_ts, last_ts)"
    " SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM rules WHERE enabled)"
    " ON CONFLICT (first_id) DO UPDATE SET last_id = max(last_id, excluded.last_id),"
    " first_ts = min(first_ts, excluded.first_ts), last_ts = max(last_ts, excluded.last_ts)"
)
# Of rows of which only some were added.
_SIZES = (
    "SELECT device_id, ts, length(CAST(payload AS BLOB)) FROM messages WHERE id BETWEEN ? AND ?"
)
_USED = (
    "INSERT INTO tenant_usage (tenant, messages, bytes) VALUES (?, ?, ?) ON CONFLICT (tenant)"
    " DO UPDATE SET messages = messages + excluded.messages, bytes = bytes + excluded.bytes"
)
_USED_DAY = (
    "INSERT INTO tenant_usage_days (tenant, day, messages, bytes) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (tenant, day) DO UPDATE SET"
    " messages = messages + excluded.messages, bytes = bytes + excluded.bytes"
)
_NUMBERS = "SELECT upto, above, lost FROM sequences WHERE device_id = ?"
_SET_LEDGER = "INSERT OR REPLACE INTO ingest_ledger (client_id, batch, packets) VALUES (?, ?, ?)"
_LEDGER = "INSERT OR REPLACE INTO ingest_ledger (client_id, batch, packets) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM ingest_ledger WHERE client_id = ? AND batch <= ?"


class SqliteSink:
    """See ``mooring.ingest.sink.Sink``.

    Args:
        path: the database file.
        dead_letters_max: dead letters kept.
        strangers_max: unknown devices listed, of tenants that do not exist.
        unknown_max: of each tenant that exists.
        projections: what else follows from messages.
    """

    waits = False

    def __init__(
        self,
        path: Path,
        *,
        dead_letters_max: int = 1_000_000,
        strangers_max: int = 10_000,
        unknown_max: int = 2_000,
        projections: Projections | None = None,
    ) -> None:
        self._projections = projections or Projections()
        self._dead_letters_max = dead_letters_max
        self._strangers_max = strangers_max
        self._unknown_max = unknown_max
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        for pragma in sqlite_pragmas():
            self._connection.execute(pragma)
        self._connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_MS}")
        self._log_bytes = LOG_BYTES
        self.connection = shared_connection("sqlite", self._connection)

    def versions(self) -> tuple[int, int]:
        try:
            found = dict(self._connection.execute("SELECT name, value FROM versions"))
        except sqlite3.Error as exc:
            raise _unavailable(exc) from exc
        return versions_of(found)

    def ledger(self, client_id: str) -> list[tuple[int, bytes]]:
        try:
            return list(
                self._connection.execute(
                    "SELECT batch, packets FROM ingest_ledger WHERE client_id = ? ORDER BY batch",
                    (client_id,),
                )
            )
        except sqlite3.Error as exc:
            raise _unavailable(exc) from exc

    def expect(self, devices: int) -> None:
        size = log_bytes(devices)
        if size == self._log_bytes:
            return
        try:
            (page,) = self._connection.execute("PRAGMA page_size").fetchone()
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {size // page}")
            self._connection.execute(f"PRAGMA journal_size_limit = {size}").fetchall()
        except sqlite3.Error as exc:
            raise _unavailable(exc) from exc
        self._log_bytes = size

    def commit(self, plan: Plan, client_id: str, batch: int, forget: int) -> Committed:
        try:
            try:
                prepared = self._projections.prepare(plan)
                return self._transaction(
                    plan, client_id, batch, forget, partial(self._write, prepared)
                )
            except Exception as exc:
                if not (isinstance(exc, NotProjected) or refuses(exc)):
                    raise
                log.warning("a batch holds a value that cannot be stored: %s", first_line(exc))
            return self._transaction(plan, client_id, batch, forget, self._write_isolated)
        except (sqlite3.Error, DBAPIError) as exc:
            raise _unavailable(exc) from exc

    def close(self) -> None:
        self._connection.close()

    # ------------------------------------------------------------------ inside

    def _transaction(
        self,
        plan: Plan,
        client_id: str,
        batch: int,
        forget: int,
        write: Callable[[Plan], Committed],
    ) -> Committed:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            committed = write(plan)
            if plan.packets:
                connection.execute(_LEDGER, (client_id, batch, pack(plan.packets)))
                if forget:
                    connection.execute(_FORGET, (client_id, forget))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return committed

    def _write(self, prepared: Prepared, plan: Plan) -> Committed:
        stored, added = self.messages(plan, range(len(plan.messages)))
        self.latest([row for row, _ in plan.newest.values()])
        effects = self._projections.apply(self.connection, plan, prepared, added)
        if plan.dead:
            self.dead(plan.dead)
        if plan.unknown:
            self.unknown(list(plan.unknown.values()))
        committed = Committed(stored, len(plan.messages) - stored, tuple(effects))
        self._count(plan, committed)
        return committed

    def _count(self, plan: Plan, committed: Committed) -> None:
        self._connection.executemany(
            _COUNT,
            [
                (name, value)
                for name, value in (
                    ("messages_stored", committed.stored),
                    ("messages_duplicate", committed.duplicates + plan.repeated),
                    ("dead_letters", len(plan.dead) + len(committed.refused)),
                    ("messages_passed_over", plan.passed),
                    ("messages_undeclared", plan.undeclared),
                    ("dead_letters_dropped", plan.dropped),
                    ("messages_limited", plan.limited),
                    ("retained_cleared", plan.cleared),
                    ("batches", 1),
                    ("not_numbers", plan.not_numbers),
                )
                if value
            ],
        )

    def _write_isolated(self, plan: Plan) -> Committed:
        """Where a value is rejected."""
        committed = write_isolated(plan, self, self._projections, now_ms())
        self._count(plan, committed)
        return committed

    # -- the steps: see ``write_isolated.Steps``

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        self._connection.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO one")
                self._connection.execute("RELEASE one")
            raise
        self._connection.execute("RELEASE one")

    def messages(self, plan: Plan, places: Sequence[int]) -> tuple[int, Collection[int]]:
        connection = self._connection
        whole = len(places) == len(plan.messages)
        rows = plan.messages if whole else [plan.messages[place] for place in places]
        counted = [
            (row[0], row[4], row[6], row[3] - REPEAT_WINDOW_MS)
            for row in rows
            if row[5] and row[4] is not None
        ]
        connection.executemany(_RETIRE, counted)
        before = connection.total_changes
        added: list[int] = []
        if plan.watched:
            self._watched(plan, places, added)
        else:
            connection.executemany(_MESSAGE, rows)
        stored = connection.total_changes - before
        if stored:
            times = [row[2] for row in rows]
            last = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
            span = (last - stored + 1, last, min(times), max(times))
            connection.execute(_ROLL_UP, span)
            connection.execute(_RULES, span)
            self._use(plan, rows if stored == len(rows) else None, span)
        return stored, added

    def _use(
        self, plan: Plan, rows: Sequence[MessageRow] | None, span: tuple[int, int, int, int]
    ) -> None:
        """Counts what was added for its tenants: these rows, or those with these numbers."""
        connection = self._connection
        tenants = {route.device_id: route.device.tenant for route in set(plan.routes)}
        if rows is not None:
            used = usage.of_rows(rows, tenants)
        else:
            used = usage.of_sizes(connection.execute(_SIZES, span[:2]), tenants)
        connection.executemany(
            _USED, [(tenant, *sums) for tenant, sums in usage.by_tenant(used).items()]
        )
        connection.executemany(_USED_DAY, [(*key, *sums) for key, sums in used.items()])

    def _watched(self, plan: Plan, places: Sequence[int], added: list[int]) -> None:
        """Messages of which some are wanted by a projection, if they are new: those one by one,
        what is between at once, all in their order."""
        connection, rows = self._connection, plan.messages
        given = frozenset(places)
        begin = places[0] if places else 0
        for place in plan.watched:
            if place not in given:
                continue
            connection.executemany(_MESSAGE, rows[begin:place])
            if connection.execute(_MESSAGE, rows[place]).rowcount:
                added.append(place)
            begin = place + 1
        if places:
            connection.executemany(_MESSAGE, rows[begin : places[-1] + 1])

    def latest(self, rows: Sequence[MessageRow]) -> None:
        self._connection.executemany(_LATEST, [(r[0], r[1], r[2], r[3], r[5], r[7]) for r in rows])

    def dead(self, letters: Sequence[DeadLetter]) -> None:
        self._connection.executemany(
            _DEAD,
            [
                (
                    d.received_at,
                    d.reason,
                    d.detail,
                    d.topic,
                    d.tenant,
                    d.device_id,
                    d.size,
                    d.payload,
                )
                for d in letters
            ],
        )
        self._connection.execute(_TRIM_DEAD, (self._dead_letters_max,))

    def unknown(self, devices: Sequence[UnknownDevice]) -> None:
        self._connection.executemany(
            _UNKNOWN,
            [
                (
                    s.dialect,
                    s.tenant,
                    s.name,
                    s.at,
                    s.messages,
                    s.last_topic,
                    s.registered_at,
                    None if s.registered_at is None else s.registration,
                    self._unknown_max,
                    self._strangers_max,
                )
                for s in devices
            ],
        )


def _unavailable(exc: Exception) -> DatabaseUnavailable:
    found = judge(exc)
    fatal = found.judgement is Judgement.FATAL
    said = exc.orig or exc if isinstance(exc, DBAPIError) else exc
    return (DatabaseUnusable if fatal else DatabaseUnavailable)(
        f"The database does not accept the batch: {first_line(said)}.", hint=found.remedy
    )
