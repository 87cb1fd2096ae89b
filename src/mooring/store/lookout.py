"""Noticing work cheaply and often, on a connection kept for it.

SQLite's ``data_version`` says in microseconds whether anybody has committed since the last
look; only then, and when the caller's clock says so, a question is asked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mooring.errors import DatabaseUnavailable
from mooring.store.engine import Database

__all__ = ["Lookout"]


class Lookout:
    """Used by one thread at a time.

    Attributes:
        waits: whether a look waits for a network and belongs into a thread.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._seen = -1
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
        try:
            connection = self._open()
            if not self._database.is_sqlite:
                return connection.execute(_statement(question), values or {}).one()
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            version = driver.execute("PRAGMA data_version").fetchone()[0]
            if version == self._seen and not always:
                return None
            row: Sequence[Any] = driver.execute(question, values or {}).fetchone()
            self._seen = version
        except (DBAPIError, PoolTimeout, sqlite3.Error) as exc:
            self.close()
            raise DatabaseUnavailable(
                "The database cannot be queried for new work.", hint="It will be queried again."
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
        """Gives the connection back; the next look opens another one."""
        connection, self._connection, self._seen = self._connection, None, -1
        if connection is not None:
            connection.close()

    def _open(self) -> Connection:
        """Outside of any transaction: inside one nothing would change."""
        if self._connection is None:
            self._connection = self._database.engine.connect()
            if not self._database.is_sqlite:
                self._connection.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection


@lru_cache(32)
def _statement(question: str) -> sa.TextClause:
    return sa.text(question)
