"""Noticing, cheaply and often, that somebody else has committed something."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from mooring.store.engine import Database

__all__ = ["ChangeWatch"]


class ChangeWatch:
    """Asks SQLite's ``data_version``, which costs a few microseconds and no lock.

    On PostgreSQL every call says yes, so the caller's own query decides; ``pause`` is longer
    there for that reason.
    """

    def __init__(self, database: Database) -> None:
        self._connection: Connection | None = (
            database.engine.connect() if database.is_sqlite else None
        )
        self._seen = -1
        self.pause = 0.01 if database.is_sqlite else 0.05  # seconds between two looks

    def changed(self) -> bool:
        """Whether another connection has committed since the last call."""
        if self._connection is None:
            return True
        driver = self._connection.connection.driver_connection
        assert driver is not None
        version: int = driver.execute("PRAGMA data_version").fetchone()[0]
        changed = version != self._seen
        self._seen = version
        return changed

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
