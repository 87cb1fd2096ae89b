"""INSERT … ON CONFLICT of many rows in one statement, the same on both engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.later import later
from mooring.store.given import GIVEN, given, parameter

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["Reading", "Upsert"]

Update = Callable[[Any], Mapping[str, Any]]


class Upsert:
    """Adds rows to a table, or updates those that are there.

    On PostgreSQL all rows are one parameter, and one trip. SQLite has no trips: there the rows
    are bound one by one, which costs a third of taking them out of one value.

    Args:
        columns: those that the rows hold, in their order.
        key: the column that tells whether a row is there.
        update: from the row that was not added to the columns that are set instead; no values
            of its own, for which SQLite's statement has no place.
    """

    def __init__(self, table: sa.Table, columns: Sequence[str], key: str, update: Update) -> None:
        self._table, self._columns, self._key, self._update = table, list(columns), key, update
        self._server: Any = None
        self._file = ""
        # SQLAlchemy binds values in the table's order.
        self._order = [self._columns.index(c.name) for c in table.c if c.name in self._columns]
        self._reordered = self._order != list(range(len(self._columns)))

    def execute(self, connection: Connection, rows: Sequence[Sequence[object]]) -> None:
        """Writes rows in their order: that of their keys, where several processes write."""
        if connection.dialect.name == "postgresql":
            if self._server is None:
                self._server = self._from_one_value()
            connection.execute(self._server, parameter(rows))
        else:
            if not self._file:
                self._file = self._row_by_row(connection)
            if self._reordered:
                rows = [tuple([row[place] for place in self._order]) for row in rows]
            driver_of(connection).executemany(self._file, rows)

    def _from_one_value(self) -> Any:
        types = {name: self._table.c[name].type for name in self._columns}
        rows = sa.select(given("postgresql", types))
        insert = postgresql.insert(self._table).from_select(self._columns, rows)
        return insert.on_conflict_do_update(
            index_elements=[self._key], set_=dict(self._update(insert.excluded))
        )

    def _row_by_row(self, connection: Connection) -> str:
        insert = sqlite.insert(self._table).values(
            {name: sa.bindparam(name) for name in self._columns}
        )
        statement = insert.on_conflict_do_update(
            index_elements=[self._key], set_=dict(self._update(insert.excluded))
        )
        compiled: Any = statement.compile(dialect=connection.dialect)
        expected = [self._columns[place] for place in self._order]
        if compiled.positiontup != expected:
            raise ValueError(f"The update binds values of its own: {compiled.positiontup}.")
        return str(compiled)


class Reading:
    """Those rows of a table whose keys are given, locked until the transaction ends.

    The statement goes to the driver as text: what Core does for each row it returns costs as much
    as the row itself, and what it does for each statement as much as twenty rows of SQLite's.

    Args:
        columns: the numbers, texts and booleans that a row holds, in their order.
        key: a column of integers.
    """

    def __init__(self, table: sa.Table, columns: Sequence[str], key: str) -> None:
        self._table, self._columns, self._key = table, columns, key
        self._statements: dict[str, str] = {}
        self._booleans = [
            place
            for place, name in enumerate(columns)
            if isinstance(table.c[name].type, sa.Boolean)
        ]

    def execute(self, connection: Connection, keys: Sequence[int]) -> Sequence[Any]:
        """In the order of their keys."""
        dialect = connection.dialect.name
        statement = self._statements.get(dialect)
        if statement is None:
            statement = self._statements[dialect] = self._statement(connection)
        text = msgspec.json.encode(keys).decode()
        if dialect == "postgresql":
            return connection.exec_driver_sql(statement, {GIVEN: text}).all()
        rows: Sequence[Any] = driver_of(connection).execute(statement, (text,)).fetchall()
        for place in self._booleans:  # SQLite has none
            rows = [(*row[:place], _BOOLEAN[row[place]], *row[place + 1 :]) for row in rows]
        return rows

    def _statement(self, connection: Connection) -> str:
        key, given_keys = self._table.c[self._key], sa.bindparam(GIVEN, type_=sa.Text)
        value: sa.ColumnElement[Any]
        if connection.dialect.name == "postgresql":
            as_json = sa.cast(given_keys, postgresql.JSONB)
            each = sa.func.jsonb_array_elements_text(as_json).table_valued("value")
            value = sa.cast(each.c.value, key.type)
        else:
            value = sa.func.json_each(given_keys).table_valued("value").c.value
        statement = (
            sa.select(*(self._table.c[name] for name in self._columns))
            .where(key.in_(sa.select(value)))
            .order_by(key)
            .with_for_update()
        )
        return str(statement.compile(dialect=connection.dialect))


def driver_of(connection: Connection) -> Any:
    """SQLite's own connection. Its errors are known to ``mooring.store.faults``, too."""
    return connection.connection.driver_connection


_BOOLEAN = {0: False, 1: True, None: None}
