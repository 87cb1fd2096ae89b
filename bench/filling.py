"""A store filled in bulk: readings of 230 bytes every ten seconds, of all devices in turn.

Rows are made by one SQL statement a million, in the order of their times and with the indexes
in place, so that the store looks as if ingest had written it. Before them lies one month of
the first device. Roll-ups are made of that month only; the others are taken as long done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bench.arena import DIALECT, TENANT, Arena
from bench.contestants.mooring import size_of
from mooring.app import App, open_app
from mooring.identity.actor import SYSTEM
from mooring.ingest import channels
from mooring.rollups.service import Roller
from mooring.store import partitions
from mooring.store.engine import Database, now_ms, open_database, unhurried
from mooring.store.schema import rollup_queue

__all__ = ["Filling", "fill"]

EVERY_MS = 10_000
DAY_MS = 86_400_000
MONTH_DAYS = 30
MONTH_ROWS = MONTH_DAYS * DAY_MS // EVERY_MS
CHUNK = 1_000_000
TOLD_SECONDS = 30.0

Say = Callable[[str], None]

# One reading after the other: all devices once, then all devices ten seconds later.
_AT = ":begin + i / :devices * 10000 + i % :devices * 7 % 10000"
_TEXT = (
    '{"sentUs":%d000,"timestamp":%d,"n":%d,"sensors":{"temperature":%d.%d,"humidity":%d.%d,'
    '"gasPpm":%d,"voltageV":%d.%d,"powerW":%d.5,"flame"\\:false},"metadata":{"pad":'
    '"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}'
)
_VALUES = (
    f"{_AT}, {_AT}, i, 20 + i / :devices / 360 % 10, i / :devices % 10, 50 + i % 30,"
    " i / :devices % 10, 400 + i % 50, 229 + i % 2, i / :devices % 10, i % 1500"
)


@dataclass(frozen=True, slots=True)
class _Statements:
    """What writes rows, in the words of one database.

    Attributes:
        numbers: whole numbers in a row, as ``n(i)``.
        random: a random one of 62 bits.
        reading: a payload.
    """

    numbers: str
    random: str
    reading: str

    @property
    def messages(self) -> str:
        return (
            "INSERT INTO messages (id, device_id, channel_id, ts, received_at, seq, time_source,"
            f" fingerprint, payload) {self.numbers} SELECT :id + i, :device + i % :devices,"
            f" :channel, {_AT}, {_AT} + 40, NULL, 0, {self.random}, {self.reading} FROM n"
        )

    @property
    def latest(self) -> str:
        return (
            "INSERT INTO latest (device_id, channel_id, ts, received_at, time_source, payload)"
            f" {self.numbers} SELECT :device + i % :devices, :channel, {_AT}, {_AT} + 40, 0,"
            f" {self.reading} FROM n"
        )

    @property
    def states(self) -> str:
        return (
            f"INSERT INTO device_state (device_id, last_seen_at, online) {self.numbers}"
            f" SELECT :device + i % :devices, {_AT}, true FROM n"
        )


_SQLITE = _Statements(
    "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :end)",
    "random() >> 1 & 4611686018427387903",
    f"printf('{_TEXT}', {_VALUES})",
)
_POSTGRESQL = _Statements(
    "WITH n(i) AS (SELECT generate_series(CAST(:first AS bigint), :end - 1))",
    "CAST(random() * 4611686018427387903 AS bigint)",
    f"format('{_TEXT.replace('%d', '%s')}', {_VALUES})",
)


@dataclass(frozen=True, slots=True)
class Filling:
    """What was written.

    Attributes:
        begin: when the rows of all devices begin, epoch milliseconds.
        month_begin: when the month of the first device does; it ends with ``begin``.
        bytes: that a row takes on disk, with its indexes; ``None`` without rows.
        rollup_bytes: that the roll-ups of the month take for each of its rows.
        seconds: that it took.
    """

    begin: int
    month_begin: int
    bytes: float | None = None
    rollup_bytes: float | None = None
    seconds: float | None = None


def fill(where: Arena, *, devices: int, rows: int, say: Say) -> Filling:
    """Writes the rows, the newest reading and the state of every device; with rows, also a month
    of the first device and its roll-ups."""
    begin = now_ms() - 3_600_000 - (rows // devices + 1) * EVERY_MS
    begin -= begin % DAY_MS
    month_begin = begin - MONTH_DAYS * DAY_MS
    started = time.monotonic()
    with open_app(where.settings) as app:
        channel = channels.numbers(app.database, app.catalogue)[DIALECT, "telemetry"]
        first = app.devices.get(SYSTEM, f"{TENANT}:d1").id
        fixed = {"device": first, "devices": devices, "channel": channel, "begin": begin}
        # Nothing that a machine without power could lose is worth waiting for here.
        writer = open_database(where.settings.effective_database_url, synchronous="OFF")
        try:
            partitions.create_ahead(writer, now_ms())
            words = _SQLITE if writer.is_sqlite else _POSTGRESQL
            for statement in (words.latest, words.states):
                _run(writer, statement, {**fixed, "first": 0, "end": devices})
            if not rows:
                return Filling(begin, month_begin)
            before = size_of(app.database)
            month = {**fixed, "devices": 1, "begin": month_begin, "id": 1}
            _write(writer, words.messages, month, MONTH_ROWS, say)
            rollups = _roll_up(app, month_begin, begin)
            before += rollups
            _write(writer, words.messages, {**fixed, "id": 1 + MONTH_ROWS}, rows, say)
            _settle(writer, rows + MONTH_ROWS)
        finally:
            writer.close()
        filling = Filling(
            begin,
            month_begin,
            bytes=(size_of(app.database) - before) / (rows + MONTH_ROWS),
            rollup_bytes=rollups / MONTH_ROWS,
            seconds=round(time.monotonic() - started, 1),
        )
    say(f"{rows:,} rows written in {filling.seconds:.0f} s, {filling.bytes:.0f} B each")
    return filling


def _run(database: Database, statement: str, values: Mapping[str, Any]) -> None:
    with database.write() as connection:
        unhurried(connection)
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        connection.execute(sa.text(statement), values)


def _write(
    database: Database, statement: str, fixed: Mapping[str, int], rows: int, say: Say
) -> None:
    told = time.monotonic()
    for first in range(0, rows, CHUNK):
        end = min(rows, first + CHUNK)
        _run(database, statement, {**fixed, "first": first, "end": end})
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            say(f"{end:,} rows")


def _settle(database: Database, last_id: int) -> None:
    """What a store that grew slowly has long done."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        now = connection.exec_driver_sql
        if database.is_sqlite:
            now("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            now(f"SELECT setval('messages_id_seq', {last_id})")
            now("SET statement_timeout = 0")
            now("VACUUM ANALYZE messages")
            now("CHECKPOINT")


def _roll_up(app: App, begin: int, end: int) -> int:
    """Roll-ups of the month, which holds the first rows; bytes they take."""
    with app.database.write() as connection:
        connection.execute(
            rollup_queue.insert().values(
                first_id=1, last_id=MONTH_ROWS, first_ts=begin, last_ts=end, claimed=False
            )
        )
    before = size_of(app.database)
    Roller(app.database, lambda: app.catalogue).catch_up(now_ms())
    return size_of(app.database) - before
