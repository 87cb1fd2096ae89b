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
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import psycopg
from psycopg import errors

from mooring.errors import DatabaseUnavailable, DatabaseUnusable
from mooring.ingest import postgres_statements as sql
from mooring.ingest.ledger import pack
from mooring.ingest.plan import MessageRow, Plan, is_newer, metadata_text
from mooring.ingest.sequences import Numbers, merge, pack_ranges, unpack_ranges
from mooring.ingest.sink import Committed, NotStorable
from mooring.store import partitions
from mooring.store.engine import now_ms, parse_url, postgres_arguments
from mooring.store.faults import Judgement, first_line, judge
from mooring.store.partitions import Partitions, week_of

__all__ = ["PostgresSink"]

COPY_FROM = 32  # fewer rows go by INSERT: one trip less
CONNECT_SECONDS = 5
# Waiting for another ingest's row lock, for a lost transaction, for a partition: then again.
LOCK_WAIT = "10s"
STATEMENT_WAIT = "120s"
# A transaction whose client is gone must not hold its locks for ever. The first is for a client
# that is silent between two trips, the others for one that vanished within one.
IDLE_WAIT = "30s"
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 10, 5, 3  # seconds, seconds, times
USER_TIMEOUT_MS = 30_000

_SESSION = (
    "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false),"
    " set_config('idle_in_transaction_session_timeout', %s, false),"
    " set_config('tcp_keepalives_idle', %s, false),"
    " set_config('tcp_keepalives_interval', %s, false),"
    " set_config('tcp_keepalives_count', %s, false),"
    " set_config('tcp_user_timeout', %s, false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    # An acknowledged message is on disk, whatever the server's default says.
    " CASE WHEN current_setting('synchronous_commit') = 'off'"
    "  THEN set_config('synchronous_commit', 'on', false) END"
)
_TENANT_LENGTH, _NAME_LENGTH = 128, 300  # of the columns

# Raised before anything reaches the server: they are no errors of the driver's.
_NOT_SENT = (UnicodeError, OverflowError, struct.error)


@dataclass(slots=True)
class _Attempt:
    """A batch whose COMMIT has not been answered yet."""

    plan: Plan
    token: int
    committed: Committed


class PostgresSink:
    """See ``mooring.ingest.sink.Sink``. Connects when it is first asked something, and anew
    after each lost connection.

    Args:
        url: a SQLAlchemy or libpq URL.
        dead_letters_max: dead letters kept.
        strangers_max: unknown devices listed.
    """

    waits = True

    def __init__(
        self, url: str, *, dead_letters_max: int = 1_000_000, strangers_max: int = 10_000
    ) -> None:
        self._arguments = postgres_arguments(parse_url(url))
        self._dead_letters_max = dead_letters_max
        self._strangers_max = strangers_max
        self._connection: psycopg.Connection | None = None
        self._partitions = Partitions(0, frozenset())
        self._attempt: _Attempt | None = None
        self._repeats = False
        self._free = range(0)  # ids taken from the sequence and not used yet

    def versions(self) -> tuple[int, int]:
        with self._working() as connection:
            found = dict(connection.execute(sql.VERSIONS).fetchall())
        return found.get("devices", 0), found.get("dialects", 0)

    def ledger(self, client_id: str) -> list[tuple[int, bytes]]:
        with self._working() as connection:
            return connection.execute(
                "SELECT batch, packets FROM ingest_ledger WHERE client_id = %s ORDER BY batch",
                (client_id,),
            ).fetchall()

    def commit(self, plan: Plan, client_id: str, batch: int, forget: int) -> Committed:
        attempt = self._attempt
        if attempt is None or attempt.plan is not plan:
            attempt = self._attempt = _Attempt(plan, secrets.randbits(63), Committed(0, 0))
        with self._working() as connection:
            try:
                committed = self._write(connection, attempt, client_id, batch, forget)
            except errors.CheckViolation:
                # The only check is whether there is a partition: one was dropped meanwhile.
                self._partitions = Partitions(self._partitions.floor, frozenset())
                raise
            except (psycopg.Error, *_NOT_SENT) as exc:
                if judge(exc).judgement in {Judgement.RETRY, Judgement.FATAL}:
                    raise
                connection.rollback()
                self._attempt = None
                raise NotStorable(f"{type(exc).__name__}: {first_line(exc)}") from exc
        self._attempt = None
        return committed

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ------------------------------------------------------------------ the connection

    @contextlib.contextmanager
    def _working(self) -> Iterator[psycopg.Connection]:
        """A connection that works; what breaks on it is translated."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
            yield self._connection
        except psycopg.Error as exc:
            self._recover()
            found = judge(exc)
            fatal = found.judgement is Judgement.FATAL
            raise (DatabaseUnusable if fatal else DatabaseUnavailable)(
                f"The database does not take the batch: {first_line(exc)}.", hint=found.remedy
            ) from exc

    def _connect(self) -> psycopg.Connection:
        connection = psycopg.connect(
            autocommit=True,  # BEGIN and COMMIT are sent where they can share a trip
            **{
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "mooring ingest",
                "keepalives_idle": KEEPALIVE_IDLE,
                "keepalives_interval": KEEPALIVE_INTERVAL,
                "keepalives_count": KEEPALIVE_COUNT,
                "tcp_user_timeout": USER_TIMEOUT_MS,
                **self._arguments,
            },
        )
        try:
            connection.prepare_threshold = 1
            alive = (KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT, USER_TIMEOUT_MS)
            waits = (LOCK_WAIT, STATEMENT_WAIT, IDLE_WAIT, *map(str, alive))
            connection.execute(_SESSION, waits)
            self._partitions = Partitions.of(connection.execute(partitions.LISTED).fetchall())
            self._make(connection, partitions.ahead(now_ms()))
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
        counted = _counted(plan.messages)
        inserted = None
        with connection.pipeline():
            cursor.execute("BEGIN")
            claimed = connection.execute(sql.CLAIM, (client_id, attempt.token))
            if copying:
                cursor.execute("SAVEPOINT before")
            elif plan.messages and not counted:  # nothing to wait for: in the same trip
                inserted = connection.execute(sql.INSERT, _columns(spans, plan.messages))
        if claimed.rowcount == 0:
            connection.rollback()
            return attempt.committed
        rows = _first_seen(cursor, plan.messages, counted) if counted else plan.messages
        if copying and counted:
            cursor.execute("SAVEPOINT before")  # anew: what was just noted must stay
        if inserted is not None:
            stored = inserted.rowcount
            self._repeats = stored < len(rows)
        else:
            stored = self._store(cursor, spans, rows, copying=copying) if rows else 0
        numbers = _write_numbers(cursor, plan) if plan.sequences or plan.lost else {}
        attempt.committed = Committed(stored, len(plan.messages) - stored, numbers)
        with connection.pipeline():
            if stored:
                first, last = _times(rows)
                for span in spans:
                    cursor.execute(sql.QUEUE, (span[0], span[-1], first, last))
            _write_latest(cursor, plan)
            _write_states(cursor, plan)
            if plan.dead:
                self._write_dead(cursor, plan)
            if plan.packets:
                cursor.execute(sql.LEDGER, (client_id, batch, pack(plan.packets)))
                if forget:
                    cursor.execute(sql.FORGET, (client_id, forget))
            _count(cursor, plan, attempt.committed)
            cursor.execute("COMMIT")
        return attempt.committed

    def _make_for(self, connection: psycopg.Connection, rows: Sequence[MessageRow]) -> None:
        if not rows:
            return
        first, last = _times(rows)
        if week_of(first) == week_of(last):
            self._make(connection, (first,))
        else:
            self._make(connection, (r[2] for r in rows))

    def _ids(self, connection: psycopg.Connection, count: int) -> list[range]:
        """Ids for so many rows, in few spans without a gap: mostly in one."""
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
    ) -> int:
        """Adds the messages that are not there yet, and says how many that were."""
        if copying:
            try:
                with cursor.copy(sql.COPY) as copy:
                    copy.set_types(sql.COPY_TYPES)
                    for number, row in zip(chain(*spans), rows, strict=False):
                        copy.write_row((number, *row))
            except errors.UniqueViolation:
                cursor.execute("ROLLBACK TO before")
            else:
                return len(rows)
        cursor.execute(sql.INSERT, _columns(spans, rows))
        self._repeats = cursor.rowcount < len(rows)
        return cursor.rowcount

    def _write_dead(self, cursor: psycopg.Cursor[Any], plan: Plan) -> None:
        dead = plan.dead
        cursor.execute(
            sql.DEAD,
            (
                _array(d.received_at for d in dead),
                [d.reason for d in dead],
                [_text(d.detail) for d in dead],
                [_text(d.topic) for d in dead],
                [None if d.tenant is None else _text(d.tenant, _TENANT_LENGTH) for d in dead],
                _array(d.device_id for d in dead),
                _array(d.size for d in dead),
                [d.payload for d in dead],
            ),
        )
        cursor.execute(sql.TRIM_DEAD, (self._dead_letters_max,))
        # Nobody has names that long: what goes by one stays a dead letter.
        some = [
            s
            for s in plan.strangers.values()
            if len(s.tenant) <= _TENANT_LENGTH and len(s.name) <= _NAME_LENGTH
        ]
        if some:
            cursor.execute(
                sql.STRANGERS,
                (
                    [s.dialect for s in some],
                    [_text(s.tenant) for s in some],
                    [_text(s.name) for s in some],
                    _array(s.at for s in some),
                    _array(s.messages for s in some),
                    [_text(s.last_topic) for s in some],
                    self._strangers_max,
                ),
            )


def _times(rows: Sequence[MessageRow]) -> tuple[int, int]:
    """The first and the last time in a batch."""
    times = [row[2] for row in rows]
    return min(times), max(times)


def _columns(spans: Iterable[range], rows: Sequence[MessageRow]) -> tuple[str | list[str], ...]:
    """The rows with their ids, as ``INSERT`` takes them."""
    ids = islice(chain(*spans), len(rows))
    *numbers, payloads = zip(*rows, strict=True)
    return (*map(_array, (ids, *numbers)), list(payloads))


def _counted(rows: Sequence[MessageRow]) -> dict[tuple[int, int, int], MessageRow]:
    """The messages of devices that count but have no clock, by what tells them apart."""
    counted: dict[tuple[int, int, int], MessageRow] = {}
    for row in rows:
        if row[5] and row[4] is not None:
            counted.setdefault((row[0], row[4], row[6]), row)
    return counted


def _first_seen(
    cursor: psycopg.Cursor[Any],
    rows: Sequence[MessageRow],
    counted: dict[tuple[int, int, int], MessageRow],
) -> Sequence[MessageRow]:
    """Without those of ``counted`` whose number came before: at another time, so that the index
    over messages cannot tell."""
    keys = sorted(counted)
    cursor.execute(
        sql.NUMBERS,
        (
            *(_array(key[place] for key in keys) for place in range(3)),
            _array(counted[key][2] for key in keys),
        ),
    )
    new = {id(counted[key]) for key in cursor.fetchall()}
    return [row for row in rows if not row[5] or row[4] is None or id(row) in new]


def _write_latest(cursor: psycopg.Cursor[Any], plan: Plan) -> None:
    newest: dict[tuple[int, int], MessageRow] = {}
    for row, _ in plan.newest.values():  # several topics may lead to one channel of a device
        before = newest.get((row[0], row[1]))
        if before is None or is_newer(row, before):
            newest[row[0], row[1]] = row
    if newest:
        rows = [newest[key] for key in sorted(newest)]
        columns = zip(*rows, strict=True)
        device, channel, ts, received, _, source, _, payload = columns
        numbers = (_array(column) for column in (device, channel, ts, received, source))
        cursor.execute(sql.LATEST, (*numbers, list(payload)))


def _write_states(cursor: psycopg.Cursor[Any], plan: Plan) -> None:
    if plan.states:
        devices = sorted(plan.states)
        states = [plan.states[device] for device in devices]
        cursor.execute(
            sql.STATE,
            (
                _array(devices),
                _array(state.last_seen_at for state in states),
                _array(state.online for state in states),
                [state.firmware for state in states],
                [metadata_text(state) for state in states],
            ),
        )


def _write_numbers(cursor: psycopg.Cursor[Any], plan: Plan) -> dict[int, Numbers]:
    """The gap ledger: read under lock, merged, written where it changed.

    Two ingest processes that both meet a device for the first time do not lock each other
    out; one then forgets what the other has. That claims less than is committed, and the
    device sends those readings once more.
    """
    devices = sorted(plan.sequences.keys() | plan.lost.keys())
    rows = cursor.execute(sql.GAPS, (_array(devices),)).fetchall()
    before = {row[0]: Numbers(row[1], unpack_ranges(row[2]), row[3]) for row in rows}
    after = {
        device: merge(
            before.get(device, Numbers()),
            plan.sequences.get(device, ()),
            plan.lost.get(device, ()),
        )
        for device in devices
    }
    changed = [device for device in devices if after[device] != before.get(device)]
    if changed:
        at = now_ms()
        numbers = [after[device] for device in changed]
        cursor.execute(
            sql.SET_GAPS,
            (
                _array(changed),
                _array(n.upto for n in numbers),
                [pack_ranges(n.above) for n in numbers],
                _array(n.lost for n in numbers),
                _array(at if n.above else None for n in numbers),
            ),
        )
    return after


def _count(cursor: psycopg.Cursor[Any], plan: Plan, committed: Committed) -> None:
    counted = {
        "batches": 1,
        "dead_letters": len(plan.dead),
        "messages_duplicate": committed.duplicates + plan.repeated,
        "messages_stored": committed.stored,
    }
    some = {name: value for name, value in counted.items() if value}
    cursor.execute(sql.COUNT, (list(some), _array(some.values())))


def _array(values: Iterable[int | bool | None]) -> str:
    """An array literal: of one type for the server whatever the numbers are, so that a statement
    is prepared once, and made five times as fast as by psycopg's own dumper."""
    return "{" + ",".join(["NULL" if v is None else str(v) for v in values]) + "}"


def _text(value: str, limit: int | None = None) -> str:
    """What a text column takes: topics come from strangers too, and a dead letter that cannot
    be stored would stop everything."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:limit]
