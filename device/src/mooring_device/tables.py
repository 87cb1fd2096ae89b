"""The queue's tables, and every statement on them.

One connection, used by one thread (``mooring_device.store``); each method runs inside the
transaction of its caller. Sequence numbers come from the ``meta`` row that the same
transaction writes, so a number is given out exactly when its reading is stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mooring_device.dedupe import State
from mooring_device.limits import Drop, Limits, Load, Row, choose_drops
from mooring_device.ranges import Ranges, compress

__all__ = ["VERSION", "Command", "Held", "New", "Tables"]

VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE readings (
    seq INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    channel TEXT NOT NULL,
    name TEXT NOT NULL,   -- fills the + of a topic that has one
    rest TEXT NOT NULL,   -- the JSON behind time and number
    size INTEGER NOT NULL -- bytes of rest in UTF-8
);
-- Events, alerts and replies go before readings after a reconnect; they are few.
CREATE INDEX urgent ON readings (seq) WHERE channel <> 'telemetry';
CREATE TABLE commands (
    key TEXT PRIMARY KEY,
    id TEXT,
    name TEXT NOT NULL,
    args TEXT NOT NULL,
    state TEXT NOT NULL,
    reply TEXT,
    at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX commands_at ON commands (at_ms);
"""


class New(NamedTuple):
    """A message to be queued."""

    ts: int
    stored_ms: int
    channel: str
    name: str
    rest: str
    size: int


class Held(NamedTuple):
    """A message in the queue."""

    seq: int
    ts: int
    channel: str
    name: str
    rest: str


class Command(NamedTuple):
    """A command that the device has been given."""

    key: str
    id: str | None
    name: str
    args: str
    state: State
    reply: str | None


class Tables:
    """The statements. Raises only ``sqlite3.Error``; the store translates it.

    ``reserve`` is called with the highest number before numbers are given out.
    """

    def __init__(
        self, connection: sqlite3.Connection, reserve: Callable[[int], None] = lambda upto: None
    ) -> None:
        self._db = connection
        self._reserve = reserve
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(
                f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={VERSION};COMMIT"
            )
        elif version > VERSION:
            raise sqlite3.NotSupportedError(f"the store has version {version}")
        highest = connection.execute("SELECT max(seq) FROM readings").fetchone()[0] or 0
        self.last_seq = max(int(self.get("last_seq", 0)), highest)
        count, size = connection.execute("SELECT count(*), sum(size) FROM readings").fetchone()
        self.load = Load(count, size or 0)

    def state(self) -> tuple[int, Load]:
        """What is known without asking the file; for ``back_to`` after a rollback."""
        return self.last_seq, self.load

    def back_to(self, state: tuple[int, Load]) -> None:
        self.last_seq, self.load = state

    # ------------------------------------------------------------------ readings

    def append(self, news: Sequence[New]) -> int:
        """Store messages under the next numbers; answers with the first one's."""
        first = self.last_seq + 1
        self._reserve(self.last_seq + len(news))
        self._db.executemany(
            "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((first + i, *new) for i, new in enumerate(news)),
        )
        self._count_to(first + len(news) - 1)
        self._grow(len(news), sum(new.size for new in news))
        return first

    def read(self, first: int, last: int, limit: int, *, urgent: bool = False) -> list[Held]:
        """Messages by number; ``urgent``: all but telemetry."""
        which = "channel <> 'telemetry' AND" if urgent else "channel = 'telemetry' AND"
        rows = self._db.execute(
            f"SELECT seq, ts, channel, name, rest FROM readings WHERE {which}"  # noqa: S608  constants
            " seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
            (first, last, limit),
        )
        return [Held._make(row) for row in rows]

    def read_some(self, seqs: Sequence[int]) -> list[Held]:
        """These messages, as far as they are still there."""
        rows = (
            self._db.execute(
                "SELECT seq, ts, channel, name, rest FROM readings WHERE seq = ?", (seq,)
            ).fetchone()
            for seq in seqs
        )
        return [Held._make(row) for row in rows if row is not None]

    def delete(self, ranges: Ranges) -> int:
        """Take out what is delivered; answers with how many there were."""
        gone = 0
        for first, last in ranges:
            count, size = self._db.execute(
                "SELECT count(*), sum(size) FROM readings WHERE seq BETWEEN ? AND ?", (first, last)
            ).fetchone()
            if count:
                self._db.execute("DELETE FROM readings WHERE seq BETWEEN ? AND ?", (first, last))
                self._grow(-count, -size)
                gone += count
        return gone

    def held(self, within: Ranges) -> Ranges:
        """Which of these numbers are in the queue."""
        statement = "SELECT seq FROM readings WHERE seq BETWEEN ? AND ? ORDER BY seq"
        return compress(seq for pair in within for (seq,) in self._db.execute(statement, pair))

    def enforce(self, limits: Limits, now_ms: int) -> Drop:
        """Bring the queue within its limits by dropping the oldest; counted indefinitely."""
        drop = choose_drops(self._oldest(), self.load, limits, now_ms)
        if drop.rows:
            self._db.execute("DELETE FROM readings WHERE seq <= ?", (drop.upto,))
            self._grow(-drop.rows, -drop.bytes)
            self.add("dropped_by_size", drop.by_size)
            self.add("dropped_by_age", drop.by_age)
        return drop

    def renumber(self, beyond: int) -> None:
        """Give everything that is held a number above ``beyond``, in the same order; the
        next numbers follow."""
        lowest = self._db.execute("SELECT min(seq) FROM readings").fetchone()[0]
        if lowest is None:
            self._count_to(max(self.last_seq, beyond))
            return
        shift = max(0, beyond + 1 - lowest)
        # Through the negative numbers: SQLite checks the key row by row.
        self._db.execute("UPDATE readings SET seq = -(seq + ?)", (shift,))
        self._db.execute("UPDATE readings SET seq = -seq")
        self._count_to(self.last_seq + shift)

    def _oldest(self) -> Iterator[Row]:
        rows = self._db.execute("SELECT seq, size, stored_ms FROM readings ORDER BY seq")
        return (Row._make(row) for row in rows)

    def _count_to(self, seq: int) -> None:
        self.last_seq = seq
        self.put("last_seq", seq)

    def _grow(self, readings: int, size: int) -> None:
        self.load = Load(self.load.readings + readings, self.load.bytes + size)

    # ------------------------------------------------------------------ small facts

    def get(self, key: str, default: Any = None) -> Any:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else row[0]

    def put(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def drop(self, key: str) -> None:
        self._db.execute("DELETE FROM meta WHERE key = ?", (key,))

    def add(self, key: str, number: int) -> None:
        if number:
            self.put(key, int(self.get(key, 0)) + number)

    # ------------------------------------------------------------------ commands

    def command(self, key: str) -> Command | None:
        row = self._db.execute(
            "SELECT key, id, name, args, state, reply FROM commands WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else _command(row)

    def put_command(self, command: Command, now_ms: int) -> None:
        """``now_ms`` is raised above the newest one: the order is that of arrival, also within a
        millisecond and where the clock was set back."""
        newest = self._db.execute("SELECT max(at_ms) FROM commands").fetchone()[0]
        at_ms = now_ms if newest is None else max(now_ms, newest + 1)
        self._db.execute(
            "INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*command[:4], command.state.value, command.reply, at_ms),
        )

    def waiting(self) -> int:
        """How many have not begun."""
        (found,) = self._db.execute(
            "SELECT count(*) FROM commands WHERE state = ?", (State.RECEIVED.value,)
        ).fetchone()
        return int(found)

    def unfinished(self) -> list[Command]:
        rows = self._db.execute(
            "SELECT key, id, name, args, state, reply FROM commands WHERE state <> ?"
            " ORDER BY at_ms, key",
            (State.DONE.value,),
        )
        return [_command(row) for row in rows]

    def forget_commands(self, keep: int) -> None:
        """Forget the oldest finished commands beyond ``keep``."""
        self._db.execute(
            "DELETE FROM commands WHERE state = ? AND key NOT IN"
            " (SELECT key FROM commands ORDER BY at_ms DESC LIMIT ?)",
            (State.DONE.value, keep),
        )


def _command(row: Iterable[Any]) -> Command:
    key, id_, name, args, state, reply = row
    return Command(key, id_, name, args, State(state), reply)
