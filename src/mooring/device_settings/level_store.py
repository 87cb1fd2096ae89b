"""SQL of levels of settings, and of their guarded changes. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.device_settings.model import Guard, Key, Level, LevelRow
from mooring.device_settings.sealing import opened, sealed
from mooring.secrets.instance import Instance
from mooring.store.schema import device_settings_levels, device_state, groups

__all__ = [
    "close_guard",
    "count_levels",
    "due_levels",
    "guarded",
    "level",
    "levels_named",
    "levels_of_tenant",
    "mark_applied",
    "note_sessions",
    "own_levels",
    "page_of_levels",
    "put_level",
    "schemas_of_tenant",
    "set_guard_session",
    "tenants_with_levels",
]

AT_ONCE = 500

_l = device_settings_levels.c
_LEVEL = (
    *device_settings_levels.c,
    sa.select(groups.c.priority)
    .where(_l.level == str(Level.GROUP), groups.c.tenant == _l.tenant, groups.c.name == _l.name)
    .scalar_subquery()
    .label("priority"),
)


def level(connection: Connection, instance: Instance, key: Key) -> LevelRow:
    """One level; with version 0 if nothing was ever set there."""
    found = levels_named(connection, instance, key.tenant, [(key.level, key.name)])
    return found[0] if found else LevelRow(key)


def levels_named(
    connection: Connection, instance: Instance, tenant: str, names: Sequence[tuple[Level, str]]
) -> list[LevelRow]:
    """Those of these levels that there are."""
    which = [sa.and_(_l.level == str(kind), _l.name == name) for kind, name in names]
    rows = connection.execute(sa.select(*_LEVEL).where(_l.tenant == tenant, sa.or_(*which)))
    return [_level(instance, row) for row in rows]


def levels_of_tenant(connection: Connection, instance: Instance, tenant: str) -> list[LevelRow]:
    """All but those of devices."""
    rows = connection.execute(
        sa.select(*_LEVEL).where(_l.tenant == tenant, _l.level != str(Level.DEVICE))
    )
    return [_level(instance, row) for row in rows]


def own_levels(
    connection: Connection, instance: Instance, numbers: Sequence[int]
) -> dict[int, LevelRow]:
    """Device → its own level, where it has one."""
    found: dict[int, LevelRow] = {}
    for at in range(0, len(numbers), AT_ONCE):
        part = numbers[at : at + AT_ONCE]
        for row in connection.execute(sa.select(*_LEVEL).where(_l.device_id.in_(part))):
            found[row.device_id] = _level(instance, row)
    return found


def page_of_levels(
    connection: Connection, instance: Instance, tenant: str, *, after: int, limit: int
) -> list[tuple[int, LevelRow]]:
    """Number and level of each but those of devices, in the order in which they were made."""
    rows = connection.execute(
        sa.select(*_LEVEL)
        .where(_l.tenant == tenant, _l.level != str(Level.DEVICE), _l.id > after)
        .order_by(_l.id)
        .limit(limit)
    )
    return [(row.id, _level(instance, row)) for row in rows]


def schemas_of_tenant(connection: Connection, tenant: str) -> list[bytes]:
    """Every schema of a tenant."""
    rows = connection.execute(
        sa.select(_l.schema).where(_l.tenant == tenant, _l.schema.is_not(None))
    )
    return [str(text).encode() for text in rows.scalars()]


def count_levels(connection: Connection, tenant: str, most: int) -> int:
    """Levels of a tenant but those of devices; counts to ``most``."""
    some = (
        sa.select(sa.literal(1))
        .select_from(device_settings_levels)
        .where(_l.tenant == tenant, _l.level != str(Level.DEVICE))
        .limit(most)
        .subquery()
    )
    return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def put_level(connection: Connection, instance: Instance, row: LevelRow) -> None:
    """Writes a level as ``row`` has it. A level with version 1 is new."""
    key, guard = row.key, row.guard
    values: dict[str, Any] = {
        "document": sealed(instance, row.document),
        "version": row.version,
        "schema": None if row.schema is None else row.schema.decode(),
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
        "reason": row.reason,
        "applied_upto": 0 if row.pending else None,
        "guard_until": None if guard is None else guard.until,
        "guard_from": None if guard is None else guard.since,
        "guard_version": None if guard is None else guard.version,
        "guard_session": None if guard is None else guard.session,
        "guard_document": None if guard is None else sealed(instance, guard.document),
    }
    if row.version == 1:
        owner = int(key.name) if key.level is Level.DEVICE else None
        connection.execute(
            sa.insert(device_settings_levels).values(
                tenant=key.tenant, level=str(key.level), name=key.name, device_id=owner, **values
            )
        )
        return
    connection.execute(sa.update(device_settings_levels).where(*_is(key)).values(values))


def due_levels(connection: Connection, instance: Instance) -> list[tuple[LevelRow, int]]:
    """Levels that not all devices have yet, the one changed first first, and the last device
    that has each."""
    rows = connection.execute(
        sa.select(*_LEVEL)
        .where(_l.applied_upto.is_not(None))
        .order_by(_l.updated_at, _l.id)
        .limit(AT_ONCE)
    )
    return [(_level(instance, row), row.applied_upto) for row in rows]


def mark_applied(connection: Connection, row: LevelRow, upto: int | None) -> None:
    """Devices up to this number have this version of the level; ``None``: all of them."""
    connection.execute(
        sa.update(device_settings_levels)
        .where(*_is(row.key), _l.version == row.version)
        .values(applied_upto=upto)
    )


def tenants_with_levels(connection: Connection) -> set[str]:
    """Tenants in which a level above the devices has settings."""
    rows = connection.execute(sa.select(_l.tenant).distinct().where(_l.level != str(Level.DEVICE)))
    return set(rows.scalars())


def _is(key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    return (_l.tenant == key.tenant, _l.level == str(key.level), _l.name == key.name)


def _level(instance: Instance, row: Any) -> LevelRow:
    guard = None
    if row.guard_until is not None:
        guard = Guard(
            since=row.guard_from,
            until=row.guard_until,
            version=row.guard_version,
            session=row.guard_session,
            document=opened(instance, row.guard_document),
        )
    return LevelRow(
        key=Key(row.tenant, Level(row.level), row.name),
        document=opened(instance, row.document),
        version=row.version,
        priority=row.priority or 0,
        schema=None if row.schema is None else row.schema.encode(),
        updated_at=row.updated_at,
        updated_by=row.updated_by,
        reason=row.reason,
        pending=row.applied_upto is not None,
        guard=guard,
    )


def guarded(
    connection: Connection, instance: Instance, after: int = 0
) -> list[tuple[LevelRow, int, int | None]]:
    """Levels with a guarded change, their device, and when the session began in which the device
    is connected; ``None``: it is away. In the order of the devices, at most ``AT_ONCE``.

    Args:
        after: only devices with a higher number.
    """
    statement = (
        sa.select(*_LEVEL, device_state.c.connected, device_state.c.connected_at)
        .outerjoin(device_state, device_state.c.device_id == _l.device_id)
        .where(_l.guard_until.is_not(None), _l.device_id > after)
        .order_by(_l.device_id)
        .limit(AT_ONCE)
    )
    found = connection.execute(statement).all()
    return [
        (_level(instance, row), row.device_id, row.connected_at if row.connected else None)
        for row in found
    ]


def set_guard_session(connection: Connection, key: Key, version: int, session: int) -> None:
    """The device got the guarded change in the session that began then."""
    connection.execute(
        sa.update(device_settings_levels)
        .where(*_is(key), _l.guard_version == version, _l.guard_session.is_(None))
        .values(guard_session=session)
    )


_BEGAN = (
    sa.update(device_settings_levels)
    .where(
        _l.device_id.in_(sa.bindparam("numbers", expanding=True)),
        _l.guard_until.is_not(None),
        _l.guard_session.is_(None),
    )
    .values(
        guard_session=sa.select(device_state.c.connected_at)
        .where(device_state.c.device_id == _l.device_id, device_state.c.connected)
        .scalar_subquery()
    )
)


def note_sessions(connection: Connection, numbers: Sequence[int]) -> None:
    """These devices have reported what they are to have: each that is connected got its guarded
    change in this session."""
    for at in range(0, len(numbers), AT_ONCE):
        connection.execute(_BEGAN, {"numbers": numbers[at : at + AT_ONCE]})


def close_guard(connection: Connection, key: Key, version: int) -> bool:
    """The guarded change stays; whether it was still guarded."""
    closed = connection.execute(
        sa.update(device_settings_levels)
        .where(*_is(key), _l.guard_version == version)
        .values(
            guard_until=None,
            guard_from=None,
            guard_version=None,
            guard_session=None,
            guard_document=None,
        )
    )
    return bool(closed.rowcount)
