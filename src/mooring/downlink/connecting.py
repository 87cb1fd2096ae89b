"""SQL of devices that connect: which have, and what of theirs is sent again then.

The caller decides on transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.downlink.rules import TRANSITIONS, Event, State
from mooring.downlink.store import LIVE, parts_of
from mooring.store.schema import broker_events, device_state, devices, downlinks

__all__ = [
    "connected_now",
    "devices_connected",
    "newest_event",
    "wake",
    "wake_all",
    "with_held",
]

_WOKEN = [state.value for state, event in TRANSITIONS if event is Event.CONNECT]

_d = downlinks.c


def newest_event(connection: Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(broker_events.c.id))).scalar() or 0)


def devices_connected(
    connection: Connection, after: int, limit: int
) -> tuple[list[int], int, bool]:
    """Devices that connected after event ``after``; the last event looked at; whether there
    are more."""
    rows = connection.execute(
        sa.select(broker_events.c.id, broker_events.c.event, broker_events.c.username)
        .where(broker_events.c.id > after)
        .order_by(broker_events.c.id)
        .limit(limit)
    ).all()
    names = {row[2] for row in rows if row[1] == "connected" and row[2] is not None}
    found: list[int] = []
    for part in parts_of(sorted(names)):
        found += connection.execute(
            sa.select(devices.c.id).where(devices.c.username.in_(part))
        ).scalars()
    return found, (rows[-1][0] if rows else after), len(rows) == limit


def connected_now(connection: Connection, numbers: Iterable[int]) -> set[int]:
    """Those of these devices that are in session."""
    found: set[int] = set()
    for part in parts_of(sorted(set(numbers))):
        found |= set(
            connection.execute(
                sa.select(device_state.c.device_id).where(
                    device_state.c.device_id.in_(part), device_state.c.connected
                )
            ).scalars()
        )
    return found


def with_held(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """Those of these devices that have rows which wait for them."""
    found: list[int] = []
    for part in parts_of(numbers):
        found += connection.execute(
            sa.select(_d.device_id)
            .distinct()
            .where(_d.device_id.in_(part), _d.finished_at.is_(None))
            .where(_d.state.in_(_WOKEN), _d.until.not_in(LIVE))
        ).scalars()
    return found


def wake(connection: Connection, numbers: Sequence[int], at: int) -> int:
    """Rows of devices that have connected are sent again, from ``at`` on."""
    woken = 0
    for part in parts_of(numbers):
        woken += _wake(connection, at, _d.device_id.in_(part))
    return woken


def wake_all(connection: Connection, at: int) -> int:
    """As ``wake``, for every device that has connected since the last attempt."""
    back = sa.exists().where(
        device_state.c.device_id == _d.device_id,
        device_state.c.connected,
        device_state.c.connected_at > _d.sent_at,
    )
    return _wake(connection, at, back)


def _wake(connection: Connection, at: int, which: sa.ColumnElement[bool]) -> int:
    return connection.execute(
        sa.update(downlinks)
        .where(_d.finished_at.is_(None), _d.state.in_(_WOKEN), _d.until.not_in(LIVE), which)
        .values(state=State.WAITING.value, next_at=at)
    ).rowcount
