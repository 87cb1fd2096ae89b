"""A batch into SQLite: prepared statements on a connection of its own, one transaction."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from mooring.errors import DatabaseUnavailable, DatabaseUnusable
from mooring.ingest.isolate import refuses, write_isolated
from mooring.ingest.ledger import pack
from mooring.ingest.plan import (
    AHEAD_MS,
    DeadLetter,
    MessageRow,
    Plan,
    State,
    Stranger,
    metadata_text,
)
from mooring.ingest.sequences import Numbers, merge, pack_ranges, unpack_ranges
from mooring.ingest.sink import METADATA_MAX, REPEAT_WINDOW_MS, Committed, versions_of
from mooring.store.engine import now_ms, sqlite_pragmas
from mooring.store.faults import Judgement, first_line, judge

__all__ = ["SqliteSink"]

log = logging.getLogger(__name__)

# A short wait only: ingest itself waits between tries, so that it can continue talking to the
# broker while somebody else holds the database.
LOCK_WAIT_MS = 200

_MESSAGE = (
    "INSERT OR IGNORE INTO messages (device_id, channel_id, ts, received_at, seq, time_source,"
    " fingerprint, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
# What is older than that is no repetition any more: it gives up its fingerprint.
_RETIRE = (
    "UPDATE messages SET fingerprint = id WHERE device_id = ? AND seq = ? AND fingerprint = ?"
    " AND time_source <> 0 AND seq IS NOT NULL AND received_at < ?"
)


def _compared(row: str) -> str:
    """As ``plan.is_newer`` compares: a time that is ahead counts as that of arrival."""
    return (
        f"CASE WHEN {row}.ts > {row}.received_at + {AHEAD_MS}"
        f" THEN {row}.received_at ELSE {row}.ts END"
    )


_LATEST = (
    "INSERT INTO latest (device_id, channel_id, ts, received_at, time_source, payload)"  # noqa: S608 - constants
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device_id, channel_id) DO UPDATE SET"
    " ts = excluded.ts, received_at = excluded.received_at,"
    " time_source = excluded.time_source, payload = excluded.payload"
    # As ``plan.is_newer``.
    f" WHERE {_compared('excluded')} >= {_compared('latest')}"
    " OR ((excluded.time_source <> 0 OR latest.time_source <> 0)"
    " AND excluded.received_at >= latest.received_at)"
)
_SEEN = (
    "INSERT INTO device_state (device_id, last_seen_at) VALUES (?, ?)"
    " ON CONFLICT (device_id) DO UPDATE SET"
    " last_seen_at = max(coalesce(last_seen_at, 0), excluded.last_seen_at)"
)
_STATE = (
    "INSERT INTO device_state (device_id, last_seen_at, online, online_at, firmware, metadata,"
    " metadata_at) VALUES (:device, :seen, :online, CASE WHEN :online IS NULL THEN NULL ELSE :at"
    " END, :firmware, :metadata, CASE WHEN :metadata IS NULL THEN NULL ELSE :at END)"
    " ON CONFLICT (device_id) DO UPDATE SET"
    " last_seen_at = CASE WHEN :seen IS NULL THEN last_seen_at"
    "  ELSE max(coalesce(last_seen_at, 0), :seen) END,"
    " online_at = CASE WHEN :online IS NULL OR :online IS online THEN online_at ELSE :at END,"
    " online = coalesce(:online, online),"
    " firmware = coalesce(:firmware, firmware),"
    " metadata = CASE WHEN :metadata IS NULL THEN metadata"
    "  WHEN length(metadata) + length(:metadata) <= :most"
    "  THEN json_patch(metadata, :metadata) ELSE :metadata END,"
    " metadata_at = CASE WHEN :metadata IS NULL THEN metadata_at ELSE :at END"
)
_DEAD = (
    "INSERT INTO dead_letters (received_at, reason, detail, topic, tenant, device_id, size,"
    " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_TRIM_DEAD = "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - ?"
_STRANGER = (
    "INSERT INTO strangers (dialect, tenant, name, first_seen_at, last_seen_at, messages,"
    " last_topic) SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM strangers) < ? OR"
    " EXISTS (SELECT 1 FROM strangers WHERE dialect = ? AND tenant = ? AND name = ?)"
    " ON CONFLICT (dialect, tenant, name) DO UPDATE SET"
    " last_seen_at = excluded.last_seen_at, messages = messages + excluded.messages,"
    " last_topic = excluded.last_topic"
)
_COUNT = (
    "INSERT INTO counters (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
)
# In one transaction, which is the only writer, the numbers of new rows follow on one another.
_ROLL_UP = (
    "INSERT INTO rollup_queue (first_id, last_id, first_ts, last_ts, claimed)"
    " VALUES (last_insert_rowid() - ?, last_insert_rowid(), ?, ?, 0)"
    # Numbers of deleted rows come round, and an entry for those may still be there.
    " ON CONFLICT (first_id) DO UPDATE SET last_id = max(last_id, excluded.last_id),"
    " first_ts = min(first_ts, excluded.first_ts), last_ts = max(last_ts, excluded.last_ts),"
    " claimed = 0"
)
_NUMBERS = "SELECT upto, above, lost FROM sequences WHERE device_id = ?"
_SET_NUMBERS = (
    "INSERT INTO sequences (device_id, upto, above, lost, gap_since) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (device_id) DO UPDATE SET upto = excluded.upto, above = excluded.above,"
    " lost = excluded.lost, gap_since = CASE WHEN excluded.gap_since IS NULL THEN NULL"
    " ELSE coalesce(gap_since, excluded.gap_since) END"
)
_LEDGER = "INSERT OR REPLACE INTO ingest_ledger (client_id, batch, packets) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM ingest_ledger WHERE client_id = ? AND batch <= ?"


class SqliteSink:
    """See ``mooring.ingest.sink.Sink``.

    Args:
        path: the database file.
        dead_letters_max: dead letters kept.
        strangers_max: unknown devices listed.
    """

    waits = False

    def __init__(
        self, path: Path, *, dead_letters_max: int = 1_000_000, strangers_max: int = 10_000
    ) -> None:
        self._dead_letters_max = dead_letters_max
        self._strangers_max = strangers_max
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        for pragma in sqlite_pragmas():
            self._connection.execute(pragma)
        self._connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_MS}")

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

    def commit(self, plan: Plan, client_id: str, batch: int, forget: int) -> Committed:
        try:
            try:
                return self._transaction(plan, client_id, batch, forget, self._write)
            except Exception as exc:
                if not refuses(exc):
                    raise
                log.warning("a batch holds a value that cannot be stored: %s", first_line(exc))
            return self._transaction(plan, client_id, batch, forget, self._write_isolated)
        except sqlite3.Error as exc:
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

    def _write(self, plan: Plan) -> Committed:
        stored = self.messages(plan.messages)
        self.latest([row for row, _ in plan.newest.values()])
        self.states(list(plan.states.items()))
        if plan.dead:
            self.dead(plan.dead)
        if plan.strangers:
            self.strangers(list(plan.strangers.values()))
        devices = plan.sequences.keys() | plan.lost.keys()
        numbers = self.numbers(plan, devices) if devices else {}
        committed = Committed(stored, len(plan.messages) - stored, numbers)
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
                    ("retained_cleared", plan.cleared),
                    ("batches", 1),
                    ("not_numbers", plan.not_numbers),
                )
                if value
            ],
        )

    def _write_isolated(self, plan: Plan) -> Committed:
        """Where a value is rejected."""
        committed = write_isolated(plan, self, now_ms())
        self._count(plan, committed)
        return committed

    # -- the steps: see ``isolate.Steps``

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

    def messages(self, rows: Sequence[MessageRow]) -> int:
        connection = self._connection
        counted = [
            (row[0], row[4], row[6], row[3] - REPEAT_WINDOW_MS)
            for row in rows
            if row[5] and row[4] is not None
        ]
        connection.executemany(_RETIRE, counted)
        before = connection.total_changes
        connection.executemany(_MESSAGE, rows)
        stored = connection.total_changes - before
        if stored:
            times = [row[2] for row in rows]
            connection.execute(_ROLL_UP, (stored - 1, min(times), max(times)))
        return stored

    def latest(self, rows: Sequence[MessageRow]) -> None:
        self._connection.executemany(_LATEST, [(r[0], r[1], r[2], r[3], r[5], r[7]) for r in rows])

    def states(self, states: Sequence[tuple[int, State]]) -> None:
        seen, said = [], []
        for device, state in states:
            if not state.says:
                if state.heard:
                    seen.append((device, state.last_seen_at))
            else:
                said.append(
                    {
                        "device": device,
                        "at": state.last_seen_at,
                        "seen": state.last_seen_at if state.heard else None,
                        "online": state.online,
                        "firmware": state.firmware,
                        "metadata": metadata_text(state),
                        "most": METADATA_MAX,
                    }
                )
        self._connection.executemany(_SEEN, seen)
        self._connection.executemany(_STATE, said)

    def numbers(self, plan: Plan, devices: Collection[int]) -> dict[int, Numbers]:
        told = {}
        at = now_ms()
        for device in devices:
            row = self._connection.execute(_NUMBERS, (device,)).fetchone()
            before = Numbers(row[0], unpack_ranges(row[1]), row[2]) if row else Numbers()
            after = merge(before, plan.sequences.get(device, ()), plan.lost.get(device, ()))
            told[device] = after
            if after != before:
                self._connection.execute(
                    _SET_NUMBERS,
                    (
                        device,
                        after.upto,
                        pack_ranges(after.above),
                        after.lost,
                        at if after.above else None,
                    ),
                )
        return told

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

    def strangers(self, strangers: Sequence[Stranger]) -> None:
        self._connection.executemany(
            _STRANGER,
            [
                (
                    s.dialect,
                    s.tenant,
                    s.name,
                    s.at,
                    s.at,
                    s.messages,
                    s.last_topic,
                    self._strangers_max,
                    s.dialect,
                    s.tenant,
                    s.name,
                )
                for s in strangers
            ],
        )


def _unavailable(exc: Exception) -> DatabaseUnavailable:
    found = judge(exc)
    fatal = found.judgement is Judgement.FATAL
    return (DatabaseUnusable if fatal else DatabaseUnavailable)(
        f"The database does not take the batch: {first_line(exc)}.", hint=found.remedy
    )
