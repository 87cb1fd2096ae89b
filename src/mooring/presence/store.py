"""SQL of what the broker's log says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.later import later
from mooring.presence.evidence import OVERSIZE, Denied
from mooring.presence.observe import Connectivity, EventRow
from mooring.store.schema import (
    broker_events,
    counters,
    dead_letters,
    device_state,
    devices,
    strangers,
    tenants,
)

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "add_denied",
    "add_events",
    "add_unknown",
    "count",
    "nobody_connected",
    "passed",
    "set_connected",
    "trim_events",
]

NAMES_AT_ONCE = 500  # in one question; SQLite takes 32,766 values in a statement


def add_events(connection: Connection, rows: Sequence[EventRow]) -> None:
    connection.execute(
        sa.insert(broker_events),
        [
            {
                "at": row.at,
                "event": row.event,
                "username": row.username,
                "client_id": row.client_id,
                "address": row.address,
                "detail": row.detail,
                "keepalive": row.keepalive,
            }
            for row in rows
        ],
    )


def add_denied(connection: Connection, messages: Sequence[Denied], keep: int) -> None:
    """Messages the broker rejected become dead letters: a 3.1.1 device received a normal
    acknowledgement.

    Their payloads are not in the broker's log; the plugin keeps the beginning of one.
    """
    names = {one.row.username for one in messages if one.row.username is not None}
    known = _devices(connection, names)
    letters = []
    for one in messages:
        row = one.row
        times = f" {one.count} messages of the same kind since the last report." * (one.count > 1)
        device_id, tenant = known.get(row.username or "", (None, None))
        letters.append(
            {
                "received_at": row.at,
                "reason": "too_large" if row.event == OVERSIZE else "denied",
                "detail": _why(row) + times,
                "topic": row.detail,
                "tenant": tenant,
                "device_id": device_id,
                "size": one.size,
                "payload": one.sample,
            }
        )
    connection.execute(sa.insert(dead_letters), letters)
    newest = sa.select(sa.func.max(dead_letters.c.id)).scalar_subquery()
    connection.execute(sa.delete(dead_letters).where(dead_letters.c.id <= newest - keep))
    count(connection, "dead_letters", sum(one.count for one in messages))


def _why(row: EventRow) -> str:
    who = row.username or "its sender"
    if row.event != OVERSIZE:
        return f"The broker rejected it: {who} may not publish to this topic."
    said = "" if row.detail else " It ended the session before it read the topic."
    return f"The broker rejected it: it is larger than message_size_limit.{said}"


def count(connection: Connection, name: str, number: int) -> None:
    """Adds to one of the platform's counters."""
    statement = _insert(connection, counters).values(name=name, value=number)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"], set_={"value": counters.c.value + statement.excluded.value}
        )
    )


def add_unknown(
    connection: Connection,
    found: Mapping[tuple[str, str, str], int],
    most: int,
    others: int,
) -> None:
    """Lists (dialect, tenant, name) → when it tried to log in, epoch milliseconds; those that
    are listed already are seen again.

    Anybody who reaches the broker can try any name, so they have a share of their own: at most
    ``most`` of each tenant that only ever tried to log in are listed, and ``others`` of tenants
    that do not exist.
    """
    c = strangers.c
    names = {tenant for _, tenant, _ in found}
    tried = (c.messages == 0, c.registered_at.is_(None))
    known = set(
        connection.execute(sa.select(tenants.c.name).where(tenants.c.name.in_(names))).scalars()
    )
    count = sa.select(sa.func.count()).select_from(strangers)
    room: dict[str | None, int] = {
        name: most - int(connection.execute(count.where(c.tenant == name, *tried)).scalar_one())
        for name in known
    }
    room[None] = others - int(connection.execute(count).scalar_one())
    for (dialect, tenant, name), at in found.items():
        again = connection.execute(
            sa.update(strangers)
            .where(c.dialect == dialect, c.tenant == tenant, c.name == name)
            .values(last_seen_at=at)
        )
        owner = tenant if tenant in known else None
        if again.rowcount or room[owner] <= 0:
            continue
        room[owner] -= 1
        values = {
            "dialect": dialect,
            "tenant": tenant,
            "name": name,
            "first_seen_at": at,
            "last_seen_at": at,
            "messages": 0,
            "last_topic": "",
        }
        connection.execute(_insert(connection, strangers).values(values).on_conflict_do_nothing())


def passed(connection: Connection) -> int:
    """How many messages ingest has seen so far."""
    names = ("messages_stored", "messages_duplicate", "dead_letters")
    total = sa.select(sa.func.coalesce(sa.func.sum(counters.c.value), 0))
    return int(connection.execute(total.where(counters.c.name.in_(names))).scalar_one())


def trim_events(connection: Connection, keep: int) -> None:
    """Drops the oldest events beyond ``keep``; by number, so nothing is scanned."""
    newest = sa.select(sa.func.max(broker_events.c.id)).scalar_subquery()
    connection.execute(sa.delete(broker_events).where(broker_events.c.id <= newest - keep))


def nobody_connected(connection: Connection, at: int) -> None:
    """The broker has just started: no session is open."""
    connection.execute(
        sa.update(device_state)
        .where(device_state.c.connected)
        .values(connected=False, connected_at=at)
    )


def set_connected(connection: Connection, states: Iterable[Connectivity]) -> None:
    """Stores who is connected; logins that are not a device's are ignored."""
    by_name = {state.username: state for state in states}
    rows = [
        {
            "device_id": device_id,
            "connected": by_name[username].connected,
            "connected_at": by_name[username].at,
            "address": by_name[username].address,
        }
        for username, (device_id, _) in _devices(connection, by_name).items()
    ]
    if rows:
        # One statement for new and known devices: ingest may begin the same row at the same
        # moment. In the order of the numbers, as ingest does: nobody waits in a circle.
        rows.sort(key=itemgetter("device_id"))
        statement = _insert(connection, device_state)
        fresh = {
            name: statement.excluded[name] for name in ("connected", "connected_at", "address")
        }
        connection.execute(
            statement.on_conflict_do_update(index_elements=["device_id"], set_=fresh), rows
        )


def _devices(connection: Connection, usernames: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Number and tenant of those that are devices'."""
    names = list(usernames)
    columns = (devices.c.username, devices.c.id, devices.c.tenant)
    return {
        username: (device_id, tenant)
        for start in range(0, len(names), NAMES_AT_ONCE)
        for username, device_id, tenant in connection.execute(
            sa.select(*columns).where(devices.c.username.in_(names[start : start + NAMES_AT_ONCE]))
        )
    }


def _insert(connection: Connection, table: sa.Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
