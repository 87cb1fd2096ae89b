"""SQL of what the broker's log says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.presence.observe import Connectivity, EventRow
from mooring.store.schema import broker_events, device_state, devices

__all__ = ["add_events", "nobody_connected", "set_connected", "trim_events"]


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
