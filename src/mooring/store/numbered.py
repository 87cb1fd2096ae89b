"""Inserts rows and returns their numbers in the order in which they were given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

__all__ = ["insert_numbered"]

_STATEMENTS: dict[tuple[str, str], Any] = {}


def insert_numbered(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> list[int]:
    """A few statements for any number of rows.

    Args:
        table: with an ``id`` that the database numbers upwards (on SQLite AUTOINCREMENT).
        rows: with the same columns each.

    Raises:
        IntegrityError: a rule of the table; nothing is inserted.
    """
    if not rows:
        return []
    dialect = connection.dialect.name
    statement = _STATEMENTS.get((dialect, table.name))
    if statement is None:
        # For SQLite, Core would insert row by row to know the order. There the rows of one
        # statement are inserted in their order, and numbers ascend.
        ordered = dialect != "sqlite"
        statement = sa.insert(table).returning(table.c.id, sort_by_parameter_order=ordered)
        _STATEMENTS[dialect, table.name] = statement
    found = [int(number) for number in connection.execute(statement, list(rows)).scalars()]
    return sorted(found) if dialect == "sqlite" else found
