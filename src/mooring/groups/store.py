"""SQL of lists of groups, and of what a change of members concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.group_store import COLUMNS
from mooring.devices.model import Group
from mooring.store.given import given, parameter
from mooring.store.schema import device_groups, device_state, devices, groups

__all__ = [
    "change",
    "concerned",
    "counts",
    "delete",
    "full",
    "held",
    "page",
    "tenants_with",
]

_G = groups.c
_M = device_groups.c


def page(connection: Connection, tenant: str, *, after: str, limit: int) -> list[Group]:
    """Groups of a tenant, sorted by name, from the one after this name."""
    rows = connection.execute(
        sa.select(*COLUMNS)
        .where(_G.tenant == tenant, _G.name > after)
        .order_by(_G.name)
        .limit(limit)
    )
    return [Group._make(row) for row in rows]


def tenants_with(
    connection: Connection, group: str, tenant: str | None, limit: int
) -> Sequence[str]:
    """Tenants that have a group of this name, or the one tenant if it has."""
    statement = sa.select(_G.tenant).where(_G.name == group)
    if tenant is not None:
        statement = statement.where(_G.tenant == tenant)
    return connection.execute(statement.order_by(_G.tenant).limit(limit)).scalars().all()


def counts(connection: Connection, tenant: str, names: Collection[str]) -> dict[str, int]:
    """Members of these static groups, at most 500 of them; without those that have none."""
    rows = connection.execute(
        sa.select(_M.group_name, sa.func.count())
        .where(_M.group_name.in_(sorted(names)), _M.tenant == tenant)
        .group_by(_M.group_name)
    )
    return {name: number for name, number in rows}  # noqa: C416 - dict() has no types


def change(connection: Connection, group: Group) -> None:
    """Stores what can change of a group."""
    connection.execute(
        sa.update(groups)
        .where(_G.id == group.id)
        .values(query=group.query, description=group.description, priority=group.priority)
    )


def delete(connection: Connection, group: Group) -> None:
    """Removes a group without members."""
    connection.execute(sa.delete(groups).where(_G.id == group.id))


def held(connection: Connection, tenant: str, group: str, numbers: Iterable[int]) -> Sequence[int]:
    """Which of these devices are members, the lowest number first."""
    some = _given(connection)
    statement = sa.select(_M.device_id).where(
        _M.group_name == group, _M.tenant == tenant, _M.device_id.in_(sa.select(some.c.id))
    )
    found = connection.execute(statement.order_by(_M.device_id), _numbers(numbers))
    return found.scalars().all()


def full(connection: Connection, numbers: Iterable[int], most: int) -> str | None:
    """The name of one of these devices that is in ``most`` groups already."""
    some = _given(connection)
    statement = (
        sa.select(devices.c.name)
        .join(device_groups, _M.device_id == devices.c.id)
        .where(devices.c.id.in_(sa.select(some.c.id)))
        .group_by(devices.c.id, devices.c.name)
        .having(sa.func.count() >= most)
        .limit(1)
    )
    return connection.execute(statement, _numbers(numbers)).scalar()


def concerned(
    connection: Connection, numbers: Iterable[int], dialects: Collection[str]
) -> tuple[list[str], int]:
    """Usernames of those of these devices that speak one of these dialects, and how many of them
    are connected."""
    if not dialects:
        return [], 0
    some = _given(connection)
    statement = (
        sa.select(devices.c.username, device_state.c.connected)
        .outerjoin(device_state, device_state.c.device_id == devices.c.id)
        .where(devices.c.id.in_(sa.select(some.c.id)), devices.c.dialect.in_(sorted(dialects)))
        .order_by(devices.c.id)
    )
    rows = connection.execute(statement, _numbers(numbers)).all()
    return [username for username, _ in rows], sum(bool(there) for _, there in rows)


def _given(connection: Connection) -> sa.Subquery:
    return given(connection.dialect.name, {"id": devices.c.id.type})


def _numbers(numbers: Iterable[int]) -> dict[str, Any]:
    return dict(parameter([number] for number in numbers))
