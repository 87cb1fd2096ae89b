"""Messages by the week on PostgreSQL: made ahead, dropped whole when they are old.

``messages`` is partitioned by ``ts``, the time that counts: history, charts and retention all
ask for spans of it, and the unique index that keeps a message from being stored twice has to
contain the partition key. A week begins on a Monday, UTC.

    messages_before        everything before the floor, the week in which the table was made
    messages_2026_11_16    one week, named for its Monday
    …                      made on demand for any later week, and two weeks ahead

A device whose clock is years slow writes into ``messages_before``, one that is fast is not
believed (see ``mooring.dialects.payload``), so wrong clocks cannot make partitions without
limit. There is no DEFAULT partition: one would be locked and read through whenever another is
attached.

SQLite has none of this: the functions say so by doing nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.engine import Database, now_ms, unhurried

__all__ = [
    "AHEAD_WEEKS",
    "BEFORE",
    "WEEK_MS",
    "Partitions",
    "ahead",
    "create",
    "create_ahead",
    "drop_before",
    "is_partition",
    "lay_floor",
    "listed",
    "name_of",
    "statements_for",
    "week_of",
]

WEEK_MS = 7 * 86_400_000
MONDAY_MS = 4 * 86_400_000  # 1970-01-05, the first Monday
AHEAD_WEEKS = 2  # a device's clock may be one day fast; the keeper may be away for a week

BEFORE = "messages_before"
LOCK_NUMBER = 0x6D6F_6F72  # an advisory lock: one process makes or drops partitions at a time
LOCK_WAIT = "5s"  # a drop waits for readers, and everybody waits for the drop: not for long

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEK_NAME = re.compile(r"messages_(\d{4})_(\d\d)_(\d\d)")
_BOUND = re.compile(r"TO \('?(-?\d+)'?\)")

NUMBERS_AT_ONCE = 10_000
_NUMBERS_BEFORE = sa.text(
    "DELETE FROM message_numbers WHERE ctid = ANY (ARRAY("
    "SELECT ctid FROM message_numbers WHERE ts < :end LIMIT :most))"
)
_ANY_BEFORE = "SELECT 1 FROM messages_before LIMIT 1"
# Names and bounds of what is attached.
LISTED = (
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
    " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'messages'::regclass"
)


def week_of(ts: int) -> int:
    """When the week of this time begins, both in epoch milliseconds."""
    return ts - (ts - MONDAY_MS) % WEEK_MS


def name_of(start: int) -> str:
    """The partition of the week that begins then."""
    return f"messages_{_EPOCH + timedelta(milliseconds=start):%Y_%m_%d}"


def is_partition(table: str) -> bool:
    """Whether a table of this name is a part of ``messages``."""
    return table == BEFORE or _WEEK_NAME.fullmatch(table) is not None


@dataclass(frozen=True, slots=True)
class Partitions:
    """What there is.

    Attributes:
        floor: where ``messages_before`` ends, epoch milliseconds.
        weeks: the beginnings of the weeks that have a partition.
    """

    floor: int
    weeks: frozenset[int]

    @classmethod
    def of(cls, listed: Iterable[Sequence[Any]]) -> Partitions:
        """From the rows of the query ``LISTED``."""
        floor, weeks = 0, set()
        for name, bound in listed:
            found = _WEEK_NAME.fullmatch(name)
            if name == BEFORE:
                end = _BOUND.search(bound)
                floor = int(end[1]) if end else 0
            elif found:
                day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC)
                weeks.add(round((day - _EPOCH) / timedelta(milliseconds=1)))
        return cls(floor, frozenset(weeks))

    def missing(self, times: Iterable[int]) -> set[int]:
        """The weeks that have to be made before rows of these times can be stored."""
        wanted = {week_of(ts) for ts in times}
        return {week for week in wanted if week >= self.floor} - self.weeks


def statements_for(weeks: Iterable[int]) -> list[str]:
    """What makes these weeks, inside a transaction. Making one that is there is no error.

    A table is made and then attached, because attaching locks neither readers nor writers of
    ``messages`` out; ``CREATE TABLE … PARTITION OF`` would.
    """
    statements = [f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})"]
    for start in sorted(weeks):
        name = name_of(start)
        statements.append(
            f"DO $$ BEGIN IF to_regclass('{name}') IS NULL THEN"
            f" CREATE TABLE {name} (LIKE messages INCLUDING DEFAULTS INCLUDING STORAGE);"
            f" ALTER TABLE messages ATTACH PARTITION {name}"
            f" FOR VALUES FROM ({start}) TO ({start + WEEK_MS}); END IF; END $$"
        )
    return statements


def listed(connection: Connection) -> Partitions:
    """What there is now. Only on PostgreSQL."""
    return Partitions.of(connection.execute(sa.text(LISTED)).all())


def ahead(now: int) -> list[int]:
    """This week and those to be made ahead of it."""
    return [week_of(now) + number * WEEK_MS for number in range(AHEAD_WEEKS + 1)]


def create_ahead(database: Database, now: int | None = None) -> list[str]:
    """Makes this week's partition and the next ones; the names of those that are new.

    Raises:
        DatabaseUnavailable: as its message says.
    """
    if database.is_sqlite:
        return []
    with database.apart() as connection:
        return create(connection, ahead(now_ms() if now is None else now))


def create(connection: Connection, times: Iterable[int]) -> list[str]:
    """Makes the partitions that rows of these times need; the names of those that are new."""
    missing = listed(connection).missing(times)
    if missing:
        for statement in statements_for(missing):
            connection.exec_driver_sql(statement)
    return [name_of(week) for week in sorted(missing)]


def drop_before(database: Database, cutoff_ms: int) -> list[str]:
    """Drops the weeks that end at or before a time, and empties ``messages_before`` when all
    of it is older; the names of what is gone. Older messages in the very week of that time
    stay: the caller may delete them, or let them be for up to seven days.

    Args:
        cutoff_ms: messages before this epoch time are not wanted any more.

    Raises:
        DatabaseUnavailable: also when readers held a partition for too long; it and later
            ones are there then, and the next try may drop them.
    """
    if database.is_sqlite:
        return []
    gone = []
    with database.read() as connection:
        there = listed(connection)
    # Dropping a partition keeps everybody from ``messages`` until its transaction ends, so each
    # is one, with nothing else in it, and no writer of other tables waits for it.
    for week in sorted(there.weeks):
        if week + WEEK_MS <= cutoff_ms:
            with _alone(database) as connection:
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name_of(week)}")
            gone.append(name_of(week))
    if there.floor <= cutoff_ms:
        with _alone(database) as connection:
            if connection.exec_driver_sql(_ANY_BEFORE).first() is not None:
                connection.exec_driver_sql(f"TRUNCATE {BEFORE}")
                gone.append(BEFORE)
        _forget_numbers(database, week_of(cutoff_ms))
    return gone


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """One transaction that changes partitions; a second one waits for it."""
    with database.apart() as connection:
        unhurried(connection)
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_NUMBER})")
        yield connection


def _forget_numbers(database: Database, end: int) -> None:
    """Dropping fires no trigger: what the trigger of migration 0002 does, done here, when the
    messages are gone. What a killed process leaves, the next call finds."""
    while True:
        with database.apart() as connection:
            some = connection.execute(_NUMBERS_BEFORE, {"end": end, "most": NUMBERS_AT_ONCE})
        if some.rowcount < NUMBERS_AT_ONCE:
            return


def lay_floor(connection: Connection, floor_ms: int) -> None:
    """Makes ``messages_before`` end at the week of a time. ``messages`` must be empty: this
    is for the moment before another database's messages are copied in."""
    there = listed(connection)
    for week in there.weeks:
        connection.exec_driver_sql(f"DROP TABLE {name_of(week)}")
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {BEFORE}")
    connection.exec_driver_sql(
        f"CREATE TABLE {BEFORE} PARTITION OF messages"
        f" FOR VALUES FROM (MINVALUE) TO ({week_of(floor_ms)})"
    )
