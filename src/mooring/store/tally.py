"""Counting without a write for each count: rejections cost memory, and the database one write
every few seconds however many there were."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from sqlalchemy.engine import Connection

from mooring.errors import DatabaseUnavailable
from mooring.later import later
from mooring.store.engine import Database
from mooring.store.schema import counters

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["FLUSH_SECONDS", "Tally", "add_to_counter"]

FLUSH_SECONDS = 5.0


class Tally:
    """Counts of one process that are not in the database yet; safe from any thread.

    Only names that the program itself chooses may be counted, so it stays small.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._counts[name] += number

    def flush(self, database: Database) -> None:
        """Adds everything to the database's counters; nothing is written where nothing was
        counted.

        Raises:
            DatabaseUnavailable: the counts are kept for the next time.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with database.write(news=False) as connection:
                for name, number in sorted(counts.items()):
                    add_to_counter(connection, name, number)
        except DatabaseUnavailable:
            with self._lock:
                self._counts.update(counts)
            raise


def add_to_counter(connection: Connection, name: str, number: int) -> None:
    """In one statement: two processes may begin the same counter at the same moment."""
    statement = _ADD.get(connection.dialect.name)
    if statement is None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        new = insert(counters)
        statement = _ADD[connection.dialect.name] = new.on_conflict_do_update(
            index_elements=[counters.c.name],
            set_={"value": counters.c.value + new.excluded.value},
        )
    connection.execute(statement, {"name": name, "value": number})


_ADD: dict[str, Any] = {}  # by engine; to put one together costs more than to run it
