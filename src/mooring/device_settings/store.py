"""SQL of settings of devices. The caller decides on transactions.

Documents are sealed on their way in and opened on their way out: any may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.device_settings.documents import canonical, parse
from mooring.device_settings.model import Cause, Guard, HistoryEntry, Key, Level, LevelRow, Row
from mooring.device_settings.rules import Record, State
from mooring.later import later
from mooring.secrets.instance import Instance
from mooring.store.schema import (
    desired,
    device_settings,
    device_settings_history,
    device_settings_levels,
    device_state,
    downlinks,
)

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "add_history",
    "close_guard",
    "count_levels",
    "due",
    "due_levels",
    "guarded",
    "history",
    "level",
    "levels_named",
    "levels_of_tenant",
    "mark_applied",
    "newly_taken",
    "own_levels",
    "page_of_levels",
    "put_level",
    "remove_level",
    "rows",
    "schemas_of_tenant",
    "set_done",
    "set_guard_session",
    "set_row",
    "set_taken",
    "tenants_with_levels",
    "with_settings",
]

AT_ONCE = 500

_l = device_settings_levels.c
_d = device_settings.c
_h = device_settings_history.c
_LEVEL = tuple(device_settings_levels.c)
_ROW = tuple(device_settings.c)


def _seal(instance: Instance, document: Mapping[str, Any]) -> str:
    return instance.seal(canonical(document)).decode()


def _open(instance: Instance, sealed: str) -> dict[str, Any]:
    return parse(instance.unseal_bytes(sealed.encode()))


# ---------------------------------------------------------------------- levels


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
    for part in _parts(numbers):
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
        "priority": row.priority,
        "document": _seal(instance, row.document),
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
        "guard_document": None if guard is None else _seal(instance, guard.document),
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


def remove_level(connection: Connection, key: Key) -> None:
    """Deletes a level that all devices have."""
    connection.execute(
        sa.delete(device_settings_levels).where(*_is(key), _l.applied_upto.is_(None))
    )


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
            document=_open(instance, row.guard_document),
        )
    return LevelRow(
        key=Key(row.tenant, Level(row.level), row.name),
        document=_open(instance, row.document),
        version=row.version,
        priority=row.priority,
        schema=None if row.schema is None else row.schema.encode(),
        updated_at=row.updated_at,
        updated_by=row.updated_by,
        reason=row.reason,
        pending=row.applied_upto is not None,
        guard=guard,
    )


# ---------------------------------------------------------------------- devices


def rows(
    connection: Connection, instance: Instance, numbers: Sequence[int], *, lock: bool = False
) -> dict[int, Row]:
    """What is stored of these devices.

    Args:
        lock: until the transaction ends; ingest changes rows next to other writers.
    """
    found: dict[int, Row] = {}
    for part in _parts(sorted(numbers)):
        statement = sa.select(*_ROW).where(_d.device_id.in_(part)).order_by(_d.device_id)
        for row in connection.execute(statement.with_for_update() if lock else statement):
            found[row.device_id] = _row(instance, row)
    return found


_WRITTEN = (
    "version",
    "state",
    "refusals",
    "words",
    "changed_at",
    "sent_at",
    "topic",
    "downlink_id",
    "placed_version",
    "problem",
)
_STATEMENTS: dict[tuple[str, bool], Any] = {}


def _writing(dialect: str, *, with_document: bool) -> Any:
    """Put together once: that costs more than running it."""
    found = _STATEMENTS.get((dialect, with_document))
    if found is None:
        names = (*_WRITTEN, "document") if with_document else _WRITTEN
        insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
        new = insert(device_settings).values(
            {name: sa.bindparam(name) for name in ("device_id", *names)}
        )
        # Ingest may add the row of a device at the same time.
        found = new.on_conflict_do_update(
            index_elements=["device_id"], set_={name: new.excluded[name] for name in names}
        )
        _STATEMENTS[dialect, with_document] = found
    return found


def set_row(connection: Connection, instance: Instance, row: Row, *, with_document: bool) -> None:
    """Writes the row of one device, but what it has reported.

    Args:
        with_document: whether the document is another one.
    """
    record = row.record
    values: dict[str, Any] = {
        "device_id": row.device_id,
        "version": record.version,
        "state": str(record.state),
        "refusals": record.refusals,
        "words": record.words,
        "changed_at": row.changed_at,
        "sent_at": row.sent_at,
        "topic": row.topic,
        "downlink_id": row.downlink,
        "placed_version": row.placed,
        "problem": row.problem,
    }
    if with_document:
        values["document"] = None if row.document is None else _seal(instance, row.document)
    statement = _writing(connection.dialect.name, with_document=with_document)
    connection.execute(statement, values)


def with_settings(connection: Connection, after: int, limit: int) -> list[int]:
    """Devices that have settings, in their order."""
    statement = sa.select(_d.device_id).where(_d.device_id > after).order_by(_d.device_id)
    return list(connection.execute(statement.limit(limit)).scalars())


_ADD = sa.insert(device_settings_history)
_TRIM = sa.delete(device_settings_history).where(
    _h.device_id == sa.bindparam("device"), _h.version <= sa.bindparam("last")
)


def add_history(
    connection: Connection, instance: Instance, new: Sequence[tuple[Row, Cause]], *, kept: int
) -> None:
    """Notes new versions, and forgets those of their devices before the newest ``kept``."""
    connection.execute(
        _ADD,
        [
            {
                "device_id": row.device_id,
                "version": row.record.version,
                "at": row.changed_at,
                "actor": cause.actor,
                "cause": cause.what,
                "reason": cause.reason,
                "document": _seal(instance, row.document or {}),
            }
            for row, cause in new
        ],
    )
    old = [
        {"device": row.device_id, "last": row.record.version - kept}
        for row, _ in new
        if row.record.version > kept
    ]
    if old:
        connection.execute(_TRIM, old)


def history(
    connection: Connection,
    instance: Instance,
    device_id: int,
    *,
    before: int | None = None,
    limit: int = 50,
) -> list[HistoryEntry]:
    """Versions of a device's settings, the newest first."""
    statement = sa.select(*device_settings_history.c).where(_h.device_id == device_id)
    if before is not None:
        statement = statement.where(_h.version < before)
    return [
        HistoryEntry(
            row.version,
            row.at,
            Cause(row.actor, row.cause, row.reason),
            _open(instance, row.document),
        )
        for row in connection.execute(statement.order_by(_h.version.desc()).limit(limit))
    ]


def _row(instance: Instance, row: Any) -> Row:
    return Row(
        device_id=row.device_id,
        record=Record(
            version=row.version,
            state=State(row.state),
            refusals=row.refusals,
            words=row.words,
            reported_version=row.reported_version,
            reported_seq=row.reported_seq,
            reported_at=row.reported_at,
            reported=None if row.reported is None else instance.unseal(row.reported.encode()),
            too_large=row.too_large,
        ),
        document=None if row.document is None else _open(instance, row.document),
        changed_at=row.changed_at,
        sent_at=row.sent_at,
        topic=row.topic,
        downlink=row.downlink_id,
        placed=row.placed_version,
        problem=row.problem,
    )


# ---------------------------------------------------------------------- the worker's questions


def newly_taken(connection: Connection, limit: int) -> list[tuple[int, int]]:
    """Device and version where the broker has taken what is still ``pending``."""
    retained = (
        sa.select(_d.device_id, _d.version)
        .join(desired, sa.and_(desired.c.topic == _d.topic, desired.c.version == _d.version))
        .where(_d.state == str(State.PENDING), desired.c.payload.is_not(None), ~desired.c.pending)
    )
    sent = (
        sa.select(_d.device_id, _d.version)
        .join(downlinks, downlinks.c.id == _d.downlink_id)
        .where(
            _d.state == str(State.PENDING),
            _d.placed_version == _d.version,
            downlinks.c.answered_at.is_not(None),
        )
    )
    found = retained.union_all(sent).limit(limit)
    return [(row[0], row[1]) for row in connection.execute(found)]


def set_taken(connection: Connection, device_id: int, version: int, at: int) -> bool:
    """The broker has taken this version; whether that is news."""
    changed = connection.execute(
        sa.update(device_settings)
        .where(_d.device_id == device_id, _d.version == version, _d.state == str(State.PENDING))
        .values(state=str(State.SENT), sent_at=at)
    )
    return bool(changed.rowcount)


def due(connection: Connection, limit: int) -> list[int]:
    """Devices of which a report asks something of the platform: to stop sending, or to send
    again."""
    statement = sa.select(_d.device_id).where(_d.due).order_by(_d.device_id).limit(limit)
    return list(connection.execute(statement).scalars())


def set_done(connection: Connection, device_id: int) -> None:
    """What a report asked for is done."""
    connection.execute(
        sa.update(device_settings).where(_d.device_id == device_id).values(due=False)
    )


def guarded(connection: Connection, instance: Instance) -> list[tuple[LevelRow, Row, int | None]]:
    """Levels with a guarded change, the row of their device, and when the session began in
    which the device is connected."""
    statement = (
        sa.select(*_LEVEL, device_state.c.connected, device_state.c.connected_at)
        .outerjoin(device_state, device_state.c.device_id == _l.device_id)
        .where(_l.guard_until.is_not(None))
        .order_by(_l.guard_until)
        .limit(AT_ONCE)
    )
    found = connection.execute(statement).all()
    known = rows(connection, instance, [row.device_id for row in found])
    return [
        (
            _level(instance, row),
            known.get(row.device_id, Row(row.device_id)),
            row.connected_at if row.connected else None,
        )
        for row in found
    ]


def set_guard_session(connection: Connection, key: Key, version: int, session: int) -> None:
    """The device got the guarded change in the session that began then."""
    connection.execute(
        sa.update(device_settings_levels)
        .where(*_is(key), _l.guard_version == version, _l.guard_session.is_(None))
        .values(guard_session=session)
    )


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


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + AT_ONCE] for at in range(0, len(numbers), AT_ONCE))
