"""Noticing work cheaply and often, on a connection kept for it.

SQLite's ``data_version`` says in microseconds whether anybody has committed since the last
look; only then, and when the caller's clock says so, a question is asked. All who look at one
SQLite database from one process share the connection: each would read the whole schema and
keep it in memory.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mooring.errors import DatabaseUnavailable
from mooring.store.engine import Database

__all__ = ["Lookout"]


class _Line:
    """One connection for several lookouts; safe from any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self.lock = threading.Lock()
        """Held for each question."""
        self._engine = engine
        self._connection: Connection | None = None
        self._users: set[Lookout] = set()
        self.opened = 0  # how often; versions of two connections cannot be compared

    def open(self, user: Lookout) -> Connection:
        """The connection, outside of any transaction: inside one nothing would change."""
        self._users.add(user)
        if self._connection is None:
            self._connection = self._engine.connect()
            self.opened += 1
            if self._engine.dialect.name != "sqlite":
                self._connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    def leave(self, user: Lookout) -> None:
        """The last one gives the connection back."""
        with self.lock:
            self._users.discard(user)
            if not self._users:
                self.drop()

    def drop(self) -> None:
        """Gives the connection back; the next question opens another one. With ``lock`` held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_lines: WeakKeyDictionary[Database, _Line] = WeakKeyDictionary()
_lines_lock = threading.Lock()


def _line(database: Database) -> _Line:
    """On a server each lookout has its own: a question there waits for the network."""
    if not database.is_sqlite:
        return _Line(database.engine)
    with _lines_lock:
        return _lines.setdefault(database, _Line(database.engine))


class Lookout:
    """Used by one thread at a time.

    Attributes:
        waits: whether a look waits for a network and belongs into a thread.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._line = _line(database)
        self._seen = (-1, -1)  # the connection, and its version of the data
        self.waits = not database.is_sqlite

    def ask(
        self,
        question: str,
        values: dict[str, int] | None = None,
        *,
        always: bool = False,
    ) -> Sequence[Any] | None:
        """The one row of ``question``, or ``None`` when nobody has committed since the last
        look.

        Args:
            question: a statement, the same text each time, so that it is prepared once.
            values: of its parameters, which are written ``:name``.
            always: ask also then, because time alone may have changed the answer.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        line = self._line
        with line.lock:
            try:
                connection = line.open(self)
                if not self._database.is_sqlite:
                    return connection.execute(_statement(question), values or {}).one()
                driver = connection.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                version = (line.opened, driver.execute("PRAGMA data_version").fetchone()[0])
                if version == self._seen and not always:
                    return None
                row: Sequence[Any] = driver.execute(question, values or {}).fetchone()
                self._seen = version
            except (DBAPIError, PoolTimeout, sqlite3.Error) as exc:
                line.drop()
                raise DatabaseUnavailable(
                    "The database cannot be queried for new work.",
                    hint="It will be queried again.",
                ) from exc
        return row

    async def look(
        self,
        question: str,
        values: dict[str, int] | None = None,
        *,
        always: bool = False,
    ) -> Sequence[Any] | None:
        """``ask``, from an event loop: in a thread where a look waits for a network."""
        if self.waits:
            return await asyncio.to_thread(self.ask, question, values, always=always)
        return self.ask(question, values, always=always)

    def close(self) -> None:
        """Gives the connection back, when nobody else looks; the next look opens another one."""
        self._seen = (-1, -1)
        self._line.leave(self)


@lru_cache(32)
def _statement(question: str) -> sa.TextClause:
    return sa.text(question)
