"""SQL of lists of devices that are sorted by what every device has: name, presence, last message …

A page begins where the one before ended. Devices of which the value is not known come last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.attributes.query import Found, Order, Place
from mooring.errors import Invalid
from mooring.store.schema import device_state, devices, presence

__all__ = ["NEVER", "PRESENCE_ORDER", "own_key", "own_page"]

PRESENCE_ORDER = ("silent", "flapping", "offline", "updating", "never_seen", "online")
"""States of presence, what needs attention first."""

NEVER = "never_seen"

_COLUMNS: dict[str, Any] = {
    "name": devices.c.name,
    "dialect": devices.c.dialect,
    "firmware": device_state.c.firmware_key,
    "last_seen_at": device_state.c.last_seen_at,
}
_NUMBERS = ("last_seen_at",)
Conditions = Sequence[sa.ColumnElement[bool]]


class Narrowing(Protocol):
    """Which devices there are to sort (``mooring.devices.attributes.search_store.Search``)."""

    @property
    def conditions(self) -> Conditions: ...

    def narrowed(
        self, connection: Connection, conditions: Conditions
    ) -> tuple[sa.Select[Any], Any]: ...


def own_page(
    search: Narrowing, connection: Connection, order: Order, after: Place | None, limit: int
) -> list[Found]:
    """A page in the order of one of ``mooring.devices.attributes.query.OWN_ORDERS``."""
    if order.name == "added":
        narrowed = search.narrowed(connection, search.conditions)
        return _by_number(connection, narrowed, after, limit, descending=order.descending)
    if order.name == "presence":
        return _by_presence(search, connection, order, after, limit)
    found: list[Found] = []
    if after is None or after.key is not None:
        found = _by_column(search, connection, order, after, limit)
        after = None
    if len(found) < limit and _COLUMNS[order.name].nullable:
        statement, number = search.narrowed(connection, search.conditions)
        statement = statement.where(~_known(order, number))
        found += _by_number(connection, (statement, number), after, limit - len(found))
    return found


def own_key(connection: Connection, order: Order, number: int) -> str | None:
    """By what a device is sorted."""
    if order.name == "added":
        return None
    if order.name == "presence":
        asked = sa.select(presence.c.state).where(presence.c.device_id == number)
        state = connection.execute(asked).scalar()
        return str(PRESENCE_ORDER.index(state or NEVER))
    column = _COLUMNS[order.name]
    own = column.table.c.id if column.table is devices else column.table.c.device_id
    key = connection.execute(sa.select(column).where(own == number)).scalar()
    return None if key is None else str(key)


# ---------------------------------------------------------------------- inside


def _by_column(
    search: Narrowing, connection: Connection, order: Order, after: Place | None, limit: int
) -> list[Found]:
    column = _COLUMNS[order.name]
    statement, number = search.narrowed(connection, search.conditions)
    if column.table is device_state:
        statement = statement.join(device_state, device_state.c.device_id == number)
        statement = statement.where(column.is_not(None))
    statement = statement.add_columns(column)
    if after is not None and after.key is not None:
        key = _whole(after.key) if order.name in _NUMBERS else after.key
        place = sa.tuple_(column, number)
        here = sa.tuple_(sa.literal(key, column.type), sa.literal(after.number, sa.BigInteger))
        statement = statement.where(place < here if order.descending else place > here)
    ways = [column.desc(), number.desc()] if order.descending else [column, number]
    rows = connection.execute(statement.order_by(*ways).limit(limit))
    return [Found(one, str(key)) for one, key in rows]


def _known(order: Order, number: Any) -> sa.ColumnElement[bool]:
    one = device_state.alias().c
    known = sa.select(one.device_id).where(
        one.device_id == number, one[_COLUMNS[order.name].name].is_not(None)
    )
    return known.exists()


def _by_presence(
    search: Narrowing, connection: Connection, order: Order, after: Place | None, limit: int
) -> list[Found]:
    """One state after the other: each is a range of an index."""
    ranks = range(len(PRESENCE_ORDER))
    begin = None if after is None or after.key is None else _whole(after.key)
    found: list[Found] = []
    for rank in reversed(ranks) if order.descending else ranks:
        if begin is not None and (rank > begin if order.descending else rank < begin):
            continue
        statement, number = search.narrowed(connection, search.conditions)
        found += _by_number(
            connection,
            (_in_state(statement, number, PRESENCE_ORDER[rank]), number),
            after if rank == begin else None,
            limit - len(found),
            descending=order.descending,
            key=str(rank),
        )
        if len(found) == limit:
            break
    return found


def _in_state(statement: sa.Select[Any], number: Any, state: str) -> sa.Select[Any]:
    one = presence.alias().c
    if state == NEVER:  # also those without a row
        other = sa.select(one.device_id).where(one.device_id == number, one.state != NEVER)
        return statement.where(~other.exists())
    return statement.where(number.in_(sa.select(one.device_id).where(one.state == state)))


def _by_number(
    connection: Connection,
    narrowed: tuple[sa.Select[Any], Any],
    after: Place | None,
    limit: int,
    *,
    descending: bool = False,
    key: str | None = None,
) -> list[Found]:
    statement, number = narrowed
    if after is not None:
        past = number < after.number if descending else number > after.number
        statement = statement.where(past)
    statement = statement.order_by(number.desc() if descending else number)
    return [Found(row[0], key) for row in connection.execute(statement.limit(limit))]


def _whole(key: str) -> int:
    """The number in a cursor, which anybody can write."""
    if re.fullmatch(r"-?\d{1,18}", key, re.ASCII) is None:
        raise Invalid(
            "The cursor does not belong to this list.",
            hint="Pass the cursor of the previous page unchanged, or none for the first page.",
            code="invalid_cursor",
        )
    return int(key)
