"""Inserts rows and returns their numbers in the order in which they were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

__all__ = ["insert_numbered"]


class _Copy(NamedTuple):
    """How PostgreSQL is given many rows.

    Attributes:
        numbers: the statement that takes their numbers.
        types: of the columns, the number first.
        prepare: by the place of a column, what makes its value one that can be stored.
    """

    numbers: str
    copy: str
    types: Sequence[str]
    values: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    prepare: Sequence[tuple[int, Callable[[Any], Any]]]


_CORE: dict[str, Any] = {}
_COPIES: dict[tuple[str, ...], _Copy] = {}


def insert_numbered(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> list[int]:
    """A few trips to the database for any number of rows.

    Args:
        table: with an ``id`` that the database numbers upwards (on SQLite AUTOINCREMENT).
        rows: with the same columns each, at least two columns.

    Raises:
        IntegrityError: a rule of the table; the transaction is to be rolled back.
    """
    if not rows:
        return []
    if connection.dialect.name == "postgresql" and len(rows) > 1:
        return _copied(connection, table, rows)
    statement = _CORE.get(table.name)
    if statement is None:
        statement = _CORE[table.name] = sa.insert(table).returning(table.c.id)
    # Core does not promise an order. SQLite inserts the rows of a statement in theirs, and numbers
    # ascend.
    return sorted(int(one) for one in connection.execute(statement, list(rows)).scalars())


def _copied(
    connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> list[int]:
    """Takes the numbers first and writes the rows with a binary COPY: no statement for each row
    is parsed, bound and executed, and pages are filled many rows at a time."""
    names = tuple(rows[0])
    key = (table.name, *names)
    made = _COPIES.get(key)
    if made is None:
        made = _COPIES[key] = _copy_of(connection, table, names)
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor:
            cursor.execute(made.numbers, [len(rows)])
            numbers = [int(number) for (number,) in cursor.fetchall()]
            with cursor.copy(made.copy) as copy:
                copy.set_types(made.types)
                for number, row in zip(numbers, rows, strict=True):
                    values = [number, *made.values(row)]
                    for place, prepare in made.prepare:
                        values[place] = prepare(values[place])
                    copy.write_row(values)
    except driver.IntegrityError as exc:
        raise IntegrityError(made.copy, None, exc) from exc
    return numbers


def _copy_of(connection: Connection, table: sa.Table, names: Sequence[str]) -> _Copy:
    dialect = connection.dialect
    kinds = [table.c[name].type for name in ("id", *names)]
    processors = [
        # A COPY takes bytes as they are.
        None
        if isinstance(kind, sa.LargeBinary)
        else kind.dialect_impl(dialect).bind_processor(dialect)
        for kind in kinds
    ]
    columns = ", ".join(("id", *names))
    return _Copy(
        f"SELECT nextval('{table.name}_id_seq') FROM generate_series(1, %s)",  # noqa: S608 - the name of a table
        f"COPY {table.name} ({columns}) FROM STDIN (FORMAT BINARY)",
        [_name_of(kind.compile(dialect)) for kind in kinds],
        itemgetter(*names),
        [(place, one) for place, one in enumerate(processors) if one is not None],
    )


def _name_of(declared: str) -> str:
    """``varchar`` of ``VARCHAR(128) COLLATE "C"``."""
    return declared.partition("(")[0].partition(" COLLATE")[0].lower()
