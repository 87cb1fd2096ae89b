"""How often strangers may be wrong, counted in the database so that every ``serve`` knows.

Failures count, by address and minute; attempts that were right do not, so a factory may claim
hundreds of devices from one address. The number of rows is bounded by the limit for all
together: once it is reached nothing more is tried or counted in that minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from mooring.store.schema import counters, throttles

__all__ = ["Limits", "count", "count_event", "network_of", "wait_ms"]

MINUTE_MS = 60_000
KEPT_MINUTES = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Failures in a minute: from one address (an IPv6 /64 is one), and from all together."""

    each: int
    all: int


def network_of(address: str) -> str:
    """Somebody with one IPv6 network has 2**64 addresses; they count as one."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


def wait_ms(connection: Connection, scope: str, address: str, limits: Limits, at: int) -> int:
    """0, or how long this address has to wait before it may try again."""
    minute = at // MINUTE_MS
    now = sa.and_(throttles.c.scope == scope, throttles.c.minute == minute)
    together = sa.select(sa.func.coalesce(sa.func.sum(throttles.c.failed), 0)).where(now)
    mine = sa.select(throttles.c.failed).where(now, throttles.c.address == network_of(address))
    tried = connection.execute(mine).scalar() or 0
    if tried >= limits.each or connection.execute(together).scalar_one() >= limits.all:
        return (minute + 1) * MINUTE_MS - at
    return 0


def count(connection: Connection, scope: str, address: str, at: int) -> None:
    """One attempt was wrong."""
    minute = at // MINUTE_MS
    connection.execute(sa.delete(throttles).where(throttles.c.minute < minute - KEPT_MINUTES))
    key = {"scope": scope, "address": network_of(address), "minute": minute}
    _add_one(connection, throttles, key, throttles.c.failed)


def count_event(connection: Connection, name: str) -> None:
    """Adds one to a counter that `mooring status` and the metrics show."""
    _add_one(connection, counters, {"name": name}, counters.c.value)


def _add_one(
    connection: Connection, table: sa.Table, key: Mapping[str, object], column: sa.Column[int]
) -> None:
    """In one statement: two processes may begin the same row at the same moment."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values({**key, column.name: 1})
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(key), set_={column.name: column + 1})
    )
