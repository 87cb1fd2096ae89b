"""SQL of what the broker's log says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.presence.observe import Connectivity, EventRow
from mooring.store.schema import broker_events, counters, dead_letters, device_state, devices

__all__ = [
    "add_denied",
    "add_events",
    "nobody_connected",
    "passed",
    "set_connected",
    "trim_events",
]


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
            }
            for row in rows
        ],
    )


def add_denied(connection: Connection, rows: Sequence[EventRow], keep: int) -> None:
    """Messages the broker refused become dead letters: a 3.1.1 device was told they arrived.

    Their payloads are not in the broker's log.
    """
    names = list({row.username for row in rows if row.username is not None})
    known = {
        username: (device_id, tenant)
        for start in range(0, len(names), 500)
        for device_id, tenant, username in connection.execute(
            sa.select(devices.c.id, devices.c.tenant, devices.c.username).where(
                devices.c.username.in_(names[start : start + 500])
            )
        )
    }
    letters = []
    for row in rows:
        device_id, tenant = known.get(row.username or "", (None, None))
        letters.append(
            {
                "received_at": row.at,
                "reason": "denied",
                "detail": f"The broker refused it: {row.username or row.client_id} may not "
                "publish to this topic.",
                "topic": row.detail,
                "tenant": tenant,
                "device_id": device_id,
                "size": 0,
                "payload": b"",
            }
        )
    connection.execute(sa.insert(dead_letters), letters)
    newest = sa.select(sa.func.max(dead_letters.c.id)).scalar_subquery()
    connection.execute(sa.delete(dead_letters).where(dead_letters.c.id <= newest - keep))
    add = sa.update(counters).where(counters.c.name == "dead_letters")
    if connection.execute(add.values(value=counters.c.value + len(rows))).rowcount == 0:
        connection.execute(sa.insert(counters).values(name="dead_letters", value=len(rows)))


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
    """Stores who is connected; logins that are no device's are passed over."""
    by_name = {state.username: state for state in states}
    names = list(by_name)
    for start in range(0, len(names), 500):
        found = connection.execute(
            sa.select(devices.c.id, devices.c.username).where(
                devices.c.username.in_(names[start : start + 500])
            )
        ).all()
        for device_id, username in found:
            state = by_name[username]
            values = {
                "connected": state.connected,
                "connected_at": state.at,
                "address": state.address,
            }
            updated = connection.execute(
                sa.update(device_state).where(device_state.c.device_id == device_id).values(values)
            )
            if updated.rowcount == 0:
                connection.execute(sa.insert(device_state).values(device_id=device_id, **values))
