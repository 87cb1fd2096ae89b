"""SQL of groups and their members. Nothing else writes either table.

Members of a group are rows by the group's name, so a device is read with its groups in one
statement. A dynamic group has no members: its query is evaluated when it is used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.model import Group
from mooring.errors import Conflict
from mooring.later import later
from mooring.store.engine import now_ms
from mooring.store.given import given, parameter
from mooring.store.room import limit_reached
from mooring.store.schema import device_groups, groups

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "add_members",
    "drop_members",
    "ensure",
    "find",
    "last_member",
    "members",
    "room",
    "set_priority",
]

AT_ONCE = 500
LIMIT = "groups_max_per_tenant"

_G = groups.c
_M = device_groups.c


COLUMNS = tuple(groups.c[name] for name in Group._fields)
_FIND = sa.select(*COLUMNS).where(
    _G.tenant == sa.bindparam("tenant"), _G.name.in_(sa.bindparam("names", expanding=True))
)


def find(connection: Connection, tenant: str, names: Collection[str]) -> dict[str, Group]:
    """Those of these groups that there are, by name."""
    wanted, found = sorted(names), dict[str, Group]()
    for start in range(0, len(wanted), AT_ONCE):
        some = {"tenant": tenant, "names": wanted[start : start + AT_ONCE]}
        found |= {row.name: Group._make(row) for row in connection.execute(_FIND, some)}
    return found


def room(connection: Connection, tenant: str, adding: int, most: int) -> None:
    """Checks, in the caller's write transaction, that this number of groups may be added.

    Raises:
        Conflict: ``limit_reached``.
    """
    some = sa.select(sa.literal(1)).where(_G.tenant == tenant).limit(most).subquery()
    number = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    if number + adding > most:
        raise limit_reached(f"groups of the tenant {tenant}", most, LIMIT)


def ensure(
    connection: Connection, tenant: str, names: Iterable[str], *, most: int, actor: str
) -> None:
    """Adds static groups that do not exist yet; the tenant exists.

    Args:
        most: groups that the tenant may have.
        actor: who named them.

    Raises:
        Conflict: ``group_is_dynamic``, or ``limit_reached``.
    """
    wanted = sorted(set(names))
    if not wanted:
        return
    known = find(connection, tenant, wanted)
    for group in known.values():
        if group.query is not None:
            raise dynamic(group.name)
    missing = [name for name in wanted if name not in known]
    if not missing:
        return
    room(connection, tenant, len(missing), most)
    at = now_ms()
    insert = _insert(connection, groups).on_conflict_do_nothing(index_elements=["tenant", "name"])
    connection.execute(
        insert,
        [{"tenant": tenant, "name": n, "created_at": at, "created_by": actor} for n in missing],
    )


def dynamic(name: str) -> Conflict:
    """The error for members of a dynamic group."""
    return Conflict(
        f"The group {name} is dynamic: its query decides which devices are in it.",
        hint="`mooring group set` changes the query.",
        code="group_is_dynamic",
    )


def add_members(connection: Connection, rows: Iterable[tuple[int, str, str]]) -> int:
    """Adds devices to static groups that exist; how many were not members yet.

    Args:
        rows: number and tenant of a device, and the group's name.
    """
    new = sorted(set(rows), key=lambda row: (row[2], row[0]))
    if not new:
        return 0
    columns = ("device_id", "tenant", "group_name")
    types = {name: _M[name].type for name in columns}
    some = sa.select(given(connection.dialect.name, types))
    if connection.dialect.name != "postgresql":
        some = some.where(sa.true())  # or SQLite takes ON CONFLICT for a part of a join
    insert = _insert(connection, device_groups).from_select(columns, some)
    insert = insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    done = connection.execute(insert, parameter(new))
    return int(done.rowcount)


def drop_members(connection: Connection, tenant: str, group: str, numbers: Iterable[int]) -> int:
    """Takes devices out of a group; how many were members."""
    some = given(connection.dialect.name, {"device_id": _M.device_id.type})
    done = connection.execute(
        sa.delete(device_groups).where(
            _M.group_name == group,
            _M.tenant == tenant,
            _M.device_id.in_(sa.select(some.c.device_id)),
        ),
        parameter([number] for number in numbers),
    )
    return int(done.rowcount)


def members(
    connection: Connection, tenant: str, group: str, *, after: int = 0, limit: int
) -> Sequence[int]:
    """Numbers of a static group's members, the lowest first."""
    return (
        connection.execute(
            sa.select(_M.device_id)
            .where(_M.group_name == group, _M.tenant == tenant, _M.device_id > after)
            .order_by(_M.device_id)
            .limit(limit)
        )
        .scalars()
        .all()
    )


def set_priority(connection: Connection, tenant: str, group: str, priority: int) -> None:
    """Among the groups of a device: whose settings win."""
    connection.execute(
        sa.update(groups).where(_G.tenant == tenant, _G.name == group).values(priority=priority)
    )


def last_member(connection: Connection, tenant: str, group: str) -> int | None:
    """The highest number of a static group's members."""
    statement = sa.select(sa.func.max(_M.device_id))
    return connection.execute(statement.where(_M.group_name == group, _M.tenant == tenant)).scalar()


def _insert(connection: Connection, table: sa.Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
