"""Inserts rows and returns their numbers in the order in which they were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

__all__ = ["insert_numbered"]


class _Many(NamedTuple):
    """PostgreSQL's statement for one of many rows, and what prepares its values."""

    sql: str
    prepare: Mapping[str, Callable[[Any], Any]]


_CORE: dict[str, Any] = {}
_MANY: dict[tuple[str, ...], _Many] = {}


def insert_numbered(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> list[int]:
    """A few trips to the database for any number of rows.

    Args:
        table: with an ``id`` that the database numbers upwards (on SQLite AUTOINCREMENT).
        rows: with the same columns each.

    Raises:
        IntegrityError: a rule of the table; the transaction is to be rolled back.
    """
    if not rows:
        return []
    if connection.dialect.name == "postgresql" and len(rows) > 1:
        return _in_a_pipeline(connection, table, rows)
    statement = _CORE.get(table.name)
    if statement is None:
        statement = _CORE[table.name] = sa.insert(table).returning(table.c.id)
    # Core does not promise an order. SQLite inserts the rows of a statement in theirs, and numbers
    # ascend.
    return sorted(int(one) for one in connection.execute(statement, list(rows)).scalars())


def _in_a_pipeline(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> list[int]:
    """One short prepared statement for each row, without waiting for its answer. Core makes one
    long statement of a thousand rows, which costs three times as much."""
    many = _many(connection, table, tuple(rows[0]))
    for name, prepare in many.prepare.items():
        rows = [{**row, name: prepare(row[name])} for row in rows]
    driver: Any = connection.connection.driver_connection
    found: list[int] = []
    try:
        with driver.cursor() as cursor:
            cursor.executemany(many.sql, rows, returning=True)
            while True:
                found.append(int(cursor.fetchone()[0]))
                if not cursor.nextset():
                    return found
    except driver.IntegrityError as exc:
        raise IntegrityError(many.sql, None, exc) from exc


def _many(connection: Connection, table: sa.Table, names: tuple[str, ...]) -> _Many:
    key = (table.name, *names)
    found = _MANY.get(key)
    if found is None:
        columns = ", ".join(names)
        places = ", ".join(f"%({name})s" for name in names)
        sql = f"INSERT INTO {table.name} ({columns}) VALUES ({places}) RETURNING id"  # noqa: S608 - names of columns
        dialect = connection.dialect
        made = {name: table.c[name].type.dialect_impl(dialect) for name in names}
        processors = {name: kind.bind_processor(dialect) for name, kind in made.items()}
        prepare = {name: one for name, one in processors.items() if one is not None}
        found = _MANY[key] = _Many(sql, prepare)
    return found
