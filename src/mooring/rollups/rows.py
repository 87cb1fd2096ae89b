"""Reading many rows through the driver's own cursor: a third of what SQLAlchemy's rows cost.

Numbers in such statements are written out; nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.engine import Connection

__all__ = ["fetch", "numbers"]


def fetch(connection: Connection, statement: str) -> list[Any]:
    """All rows of a statement without parameters."""
    cursor = connection.exec_driver_sql(statement).cursor
    assert cursor is not None
    return list(cursor.fetchall())


def numbers(values: Iterable[int]) -> str:
    """For ``IN (…)``; matches nothing when none exist."""
    return ",".join(map(str, values)) or "NULL"
