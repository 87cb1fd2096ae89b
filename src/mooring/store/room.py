"""One check for every limit on what people create."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.errors import Conflict

__all__ = ["limit_reached", "require_room"]


def require_room(
    connection: Connection,
    table: sa.Table,
    most: int,
    *where: sa.ColumnElement[bool],
    what: str,
    setting: str,
) -> None:
    """Checks, in the caller's write transaction, that one more row may be added.

    Counts at most ``most`` rows, so it suits limits of some thousands.

    Args:
        most: rows that may exist; the value of ``setting``.
        where: which rows count.
        what: the noun for the message, in the plural.
        setting: the limit's name, for the hint.

    Raises:
        Conflict: ``limit_reached``.
    """
    some = sa.select(sa.literal(1)).select_from(table).where(*where).limit(most).subquery()
    if connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one() >= most:
        raise limit_reached(what, most, setting)


def limit_reached(what: str, most: int, setting: str) -> Conflict:
    """The error for a limit on what people create."""
    return Conflict(
        f"The limit of {most:,} {what} is reached.",
        hint=f"Remove some, or raise the setting {setting}.",
        code="limit_reached",
        limit=setting,
        most=most,
    )
