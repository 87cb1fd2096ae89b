"""Statements about one row or several, by a key, that are put together once.

Putting a statement together costs more than running it, and so does a list of values, which is
written into its text each time. Most callers ask about one key: for that the comparison is ``=``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult

__all__ = ["Keyed", "Matches"]

Matches = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
"""Makes the condition that a column has one of the keys."""


class Keyed:
    """A statement with a condition on a key, in two forms.

    Args:
        make: puts the statement together with the condition that it gets; called twice.
    """

    def __init__(self, make: Callable[[Matches], sa.Executable]) -> None:
        self._one = make(lambda column: column == sa.bindparam("key", type_=column.type))
        self._several = make(lambda column: column.in_(sa.bindparam("keys", expanding=True)))

    def execute(
        self, connection: Connection, keys: Sequence[Any], **values: Any
    ) -> CursorResult[Any]:
        """Runs it for these keys, at most 500.

        Args:
            values: of the statement's other parameters.
        """
        if len(keys) == 1:
            return connection.execute(self._one, {"key": keys[0], **values})
        return connection.execute(self._several, {"keys": list(keys), **values})
