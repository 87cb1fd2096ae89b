"""SQL of what is to be done for firmware updates. The caller decides on transactions."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.ota.updates.model import Way
from mooring.store.schema import device_state, devices, firmware_updates

__all__ = ["WORK", "due", "gone", "links_changed"]

WORK = (
    "SELECT EXISTS (SELECT 1 FROM firmware_updates WHERE due_at <= :at),"
    " EXISTS (SELECT 1 FROM firmware_updates WHERE finished_at IS NULL),"
    " (SELECT max(id) FROM broker_events)"
)
"""For ``Lookout``, at a time ``at``: whether a deadline has passed, whether an update is open, and
the newest event of the broker."""

_c = firmware_updates.c
_OPEN = _c.finished_at.is_(None)


def due(connection: Connection, at: int, limit: int) -> list[int]:
    """Numbers of those whose deadline has passed."""
    statement = sa.select(_c.id).where(_c.due_at <= at).order_by(_c.due_at, _c.id).limit(limit)
    return list(connection.execute(statement).scalars())


def links_changed(connection: Connection, limit: int) -> list[int]:
    """Open ones whose device has connected or disconnected since anybody looked."""
    state = device_state.c
    since = sa.case((state.connected.is_not(None), state.connected_at), else_=state.online_at)
    statement = (
        sa.select(_c.id)
        .join(device_state, state.device_id == _c.device_id)
        .where(_OPEN, _c.way != Way.DDI.value, since.is_not(None))
        .where(sa.or_(_c.linked_at.is_(None), since > _c.linked_at))
        .order_by(_c.id)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def gone(connection: Connection, limit: int) -> list[int]:
    """Open ones whose device was removed."""
    there = sa.exists().where(devices.c.id == _c.device_id)
    statement = sa.select(_c.id).where(_OPEN, ~there).order_by(_c.id).limit(limit)
    return list(connection.execute(statement).scalars())
