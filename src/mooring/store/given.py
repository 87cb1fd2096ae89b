"""Rows of a program as a table in a statement: any number of rows, one parameter.

A statement over many rows is then the same text however many there are, so it is compiled and
prepared once, and costs one trip to a server. Both engines read the rows from JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from mooring.later import later

with later():
    from sqlalchemy.dialects import postgresql

__all__ = ["GIVEN", "NUMBERS", "among", "given", "numbers", "parameter"]

GIVEN = "given"  # the name of the parameter
NUMBERS = "numbers"  # likewise, of ``numbers``


def given(dialect: str, columns: Mapping[str, TypeEngine[Any]]) -> sa.Subquery:
    """The rows of ``parameter`` as a table with these columns, in their order.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
    """
    rows = sa.bindparam(GIVEN, type_=sa.Text)
    made: list[sa.ColumnElement[Any]]
    if dialect == "postgresql":
        each = sa.func.jsonb_array_elements(sa.cast(rows, postgresql.JSONB)).table_valued("value")
        made = [
            sa.cast(each.c.value.op("->>")(sa.literal_column(str(place))), _plain(kind)).label(name)
            for place, (name, kind) in enumerate(columns.items())
        ]
    else:
        each = sa.func.json_each(rows).table_valued("value")
        made = [
            sa.type_coerce(
                sa.func.json_extract(each.c.value, sa.literal_column(f"'$[{place}]'")), kind
            ).label(name)
            for place, (name, kind) in enumerate(columns.items())
        ]
    return sa.select(*made).subquery("given")


def among(
    dialect: str, column: sa.ColumnElement[int], name: str = NUMBERS
) -> sa.ColumnElement[bool]:
    """Whether a column is one of the numbers of ``numbers`` with that name."""
    if dialect == "postgresql":
        kind = postgresql.ARRAY(sa.BigInteger)
        return column == sa.any_(sa.bindparam(name, type_=kind))
    each = sa.func.json_each(sa.bindparam(name, type_=sa.Text)).table_valued("value")
    return column.in_(sa.select(each.c.value))


def numbers(dialect: str, values: Iterable[int], name: str = NUMBERS) -> dict[str, Any]:
    """The parameter of ``among``: any number of numbers, and the same text of the statement."""
    if dialect == "postgresql":
        return {name: list(values)}
    return {name: msgspec.json.encode(list(values)).decode()}


def _plain(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Without a collation, which no cast can name; the column keeps its own."""
    if isinstance(kind, sa.String) and not isinstance(kind, sa.Text):
        return sa.String(kind.length)
    return kind


def parameter(rows: Iterable[Sequence[object]]) -> dict[str, str]:
    """The parameter that holds these rows: integers, booleans, texts and ``None``.

    Raises:
        ArithmeticError, UnicodeError: a value cannot be sent.
    """
    return {GIVEN: msgspec.json.encode(list(rows)).decode()}
