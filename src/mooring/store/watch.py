"""Noticing, cheaply and often, that there is something to do.

Asked a hundred times a second in parallel with an ingest that commits as often, so a look must cost
microseconds and never take a lock. One connection is kept for it: SQLite's ``data_version``
says whether anybody has committed at all, and only then one small query says whether it
concerns us.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mooring.errors import DatabaseUnavailable
from mooring.store.engine import Database, now_ms

__all__ = ["Bell", "Waiting"]

_WAITING = (
    "SELECT (SELECT min(next_at) FROM broker_changes),"
    " EXISTS (SELECT 1 FROM broker_requests WHERE state = 'waiting')"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is there to do: pending broker changes, requests to answer."""

    changes: bool = False
    requests: bool = False


class Bell:
    """Rings when there is work for the broker. ``pause``: seconds between two looks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._seen = -1
        self._due: int | None = None  # when the next change is, as of the last look
        self.pause = 0.01 if database.is_sqlite else 0.05
        self.waits = not database.is_sqlite
        """Whether a look waits for a network: then it belongs into a thread."""

    def look(self, *, whatever: bool = False) -> Waiting:
        """What waits now.

        Args:
            whatever: ask also when nobody has committed since the last look.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        try:
            ask = self._open()
            if self._database.is_sqlite:
                version = ask("PRAGMA data_version")[0]
                if version == self._seen and not whatever:
                    return Waiting(self._is_due())
                self._seen = version
            self._due, requests = ask(_WAITING)
        except (DBAPIError, PoolTimeout, sqlite3.Error) as exc:
            self.close()
            raise DatabaseUnavailable(
                "The database cannot be queried for new work.", hint="It will be queried again."
            ) from exc
        return Waiting(self._is_due(), bool(requests))

    @property
    def due_in(self) -> float:
        """Seconds until the next change is due, as of the last look; infinite without one."""
        return float("inf") if self._due is None else max(0.0, (self._due - now_ms()) / 1000)

    def _is_due(self) -> bool:
        return self._due is not None and self._due <= now_ms()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._seen = -1

    def _open(self) -> Callable[[str], Sequence[Any]]:
        """What asks for one row, outside of any transaction: inside one nothing would change."""
        if self._connection is None:
            self._connection = self._database.engine.connect()
            if not self._database.is_sqlite:
                self._connection.execution_options(isolation_level="AUTOCOMMIT")
        connection = self._connection
        if not self._database.is_sqlite:
            return lambda statement: connection.exec_driver_sql(statement).one()
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return lambda statement: cast(Sequence[Any], driver.execute(statement).fetchone())
