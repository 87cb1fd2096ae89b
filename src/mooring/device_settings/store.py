"""SQL of settings of devices. The caller decides on transactions.

Documents are sealed on their way in and opened on their way out: any may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.device_settings.model import Cause, HistoryEntry, Row
from mooring.device_settings.rules import Record, State
from mooring.device_settings.sealing import opened, sealed
from mooring.identity.actor import Actor, walled
from mooring.later import later
from mooring.secrets.instance import Instance
from mooring.store.schema import (
    desired,
    device_settings,
    device_settings_history,
    device_state,
    devices,
    downlinks,
)

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "AT_ONCE",
    "add_history",
    "any_downlink",
    "due",
    "history",
    "newly_taken",
    "rows",
    "set_done",
    "set_row",
    "set_taken",
    "stopped",
    "unreported",
    "with_settings",
]

AT_ONCE = 500

_d = device_settings.c
_h = device_settings_history.c
_ROW = tuple(device_settings.c)


def stopped(connection: Connection, actor: Actor, limit: int) -> list[tuple[str, str, str]]:
    """Tenant, name, and the device's words, of devices that have refused their settings too often
    and that the actor sees."""
    statement = (
        sa.select(devices.c.tenant, devices.c.name, _d.words)
        .join(devices, devices.c.id == _d.device_id)
        .where(_d.state == State.STOPPED.value)
    )
    rows = connection.execute(
        walled(statement, devices.c.tenant, actor).order_by(_d.device_id).limit(limit)
    )
    return [(tenant, name, words) for tenant, name, words in rows]


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
        values["document"] = None if row.document is None else sealed(instance, row.document)
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
                "document": sealed(instance, row.document or {}),
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
            opened(instance, row.document),
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
        document=None if row.document is None else opened(instance, row.document),
        changed_at=row.changed_at,
        sent_at=row.sent_at,
        topic=row.topic,
        downlink=row.downlink_id,
        placed=row.placed_version,
        problem=row.problem,
    )


# ---------------------------------------------------------------------- the worker's questions


def newly_taken(connection: Connection, limit: int) -> list[tuple[int, int, bool]]:
    """Device and version where the broker has taken what is still ``pending``, and whether it is
    a downlink."""
    retained = (
        sa.select(_d.device_id, _d.version, sa.false())
        .join(desired, sa.and_(desired.c.topic == _d.topic, desired.c.version == _d.version))
        .where(_d.state == str(State.PENDING), desired.c.payload.is_not(None), ~desired.c.pending)
    )
    sent = (
        sa.select(_d.device_id, _d.version, sa.true())
        .join(downlinks, downlinks.c.id == _d.downlink_id)
        .where(
            _d.state == str(State.PENDING),
            _d.placed_version == _d.version,
            downlinks.c.answered_at.is_not(None),
        )
    )
    found = retained.union_all(sent).limit(limit)
    return [(row[0], row[1], bool(row[2])) for row in connection.execute(found)]


def any_downlink(connection: Connection) -> bool:
    """Whether the settings of any device are a downlink."""
    return bool(
        connection.execute(sa.select(sa.exists().where(_d.downlink_id.is_not(None)))).scalar()
    )


def unreported(connection: Connection, numbers: Sequence[int] | None = None) -> list[int]:
    """Devices whose settings are a downlink that is over, and that have begun another session
    since and have not reported them.

    Args:
        numbers: only these; ``None``: all.
    """
    statement = (
        sa.select(_d.device_id)
        .join(downlinks, downlinks.c.id == _d.downlink_id)
        .join(device_state, device_state.c.device_id == _d.device_id)
        .where(
            _d.state.in_([str(State.PENDING), str(State.SENT), str(State.REFUSED)]),
            downlinks.c.finished_at.is_not(None),
            device_state.c.connected,
            device_state.c.connected_at > sa.func.coalesce(downlinks.c.sent_at, 0),
        )
        .order_by(_d.device_id)
    )
    if numbers is None:
        return list(connection.execute(statement).scalars())
    found: list[int] = []
    for part in _parts(numbers):
        found += connection.execute(statement.where(_d.device_id.in_(part))).scalars()
    return found


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


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + AT_ONCE] for at in range(0, len(numbers), AT_ONCE))
