"""SQL of figures that are published."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.schema import desired, device_groups, device_state, devices
from mooring.system_topics.rules import Counts, GroupCounts

__all__ = ["documents", "group_counts", "tenant_counts"]

_connected = sa.func.count(sa.case((device_state.c.connected.is_(True), 1)))
_online = sa.func.count(sa.case((device_state.c.online.is_(True), 1)))
_there = sa.func.count(
    sa.case((sa.func.coalesce(device_state.c.connected, device_state.c.online).is_(True), 1))
)


def tenant_counts(connection: Connection, dialects: Sequence[str]) -> dict[str, dict[str, Counts]]:
    """Dialect → tenant → its devices."""
    statement = (
        sa.select(devices.c.dialect, devices.c.tenant, sa.func.count(), _online, _connected)
        .outerjoin_from(devices, device_state, device_state.c.device_id == devices.c.id)
        .where(devices.c.dialect.in_(dialects))
        .group_by(devices.c.dialect, devices.c.tenant)
    )
    found: dict[str, dict[str, Counts]] = {}
    for dialect, tenant, *numbers in connection.execute(statement):
        found.setdefault(dialect, {})[tenant] = Counts(*map(int, numbers))
    return found


def group_counts(connection: Connection, dialect: str) -> list[GroupCounts]:
    """Members of each static group that speak a dialect."""
    statement = (
        sa.select(devices.c.tenant, device_groups.c.group_name, sa.func.count(), _there)
        .join_from(device_groups, devices, devices.c.id == device_groups.c.device_id)
        .outerjoin(device_state, device_state.c.device_id == devices.c.id)
        .where(devices.c.dialect == dialect)
        .group_by(devices.c.tenant, device_groups.c.group_name)
        .order_by(devices.c.tenant, device_groups.c.group_name)
    )
    return [
        GroupCounts(row[0], row[1], int(row[2]), int(row[3]))
        for row in connection.execute(statement)
    ]


def documents(connection: Connection, origin: str) -> list[str]:
    """Topics of retained documents of an origin that are not dropped."""
    c = desired.c
    statement = sa.select(c.topic).where(c.origin == origin, c.payload.is_not(None))
    return list(connection.execute(statement.order_by(c.topic)).scalars())
