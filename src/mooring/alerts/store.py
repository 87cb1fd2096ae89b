"""SQL of alerts. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.alerts.model import (
    Alert,
    Entry,
    Raise,
    Severity,
    Source,
    State,
)
from mooring.identity.actor import Actor, walled
from mooring.later import later
from mooring.store.engine import now_ms
from mooring.store.given import given, parameter
from mooring.store.schema import alert_history, alerts, devices

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "Row",
    "Wanted",
    "add_history",
    "change",
    "delete_cleared",
    "detach",
    "entries_of",
    "history",
    "insert",
    "listed",
    "newest",
    "numbers_of",
    "one",
    "open_by_severity",
    "open_keys",
    "open_of_devices",
    "open_of_tenant",
    "update",
]

_c = alerts.c
_OPEN = _c.cleared_at.is_(None)
AT_ONCE = 200  # rows in one statement


@dataclass(slots=True)
class Row:
    """A row of ``alerts`` while a source's findings are applied to it."""

    id: int
    key: str
    tenant: str | None
    device_id: int | None
    source: Source
    rule_id: int | None
    name: str
    severity: Severity
    state: State
    message: str
    value: str
    late: bool
    count: int
    raised_at: int
    updated_at: int
    cleared_at: int | None
    cleared_by: str
    entries: int
    touched: bool = False

    @classmethod
    def of(cls, new: Raise) -> Row:
        return cls(
            0,
            new.key,
            new.tenant,
            new.device_id,
            new.source,
            new.rule_id,
            new.name,
            new.severity,
            State.RAISED,
            new.message,
            new.value,
            new.late,
            1,
            new.at,
            new.at,
            None,
            "",
            0,
        )


_OF_ROW = tuple(name for name in Row.__dataclass_fields__ if name != "touched")
_ROW = sa.select(*(_c[name] for name in _OF_ROW))


def _row(found: Sequence[Any]) -> Row:
    values = dict(zip(_OF_ROW, found, strict=True))
    values["source"], values["state"] = Source(values["source"]), State(values["state"])
    values["severity"] = Severity(values["severity"])
    return Row(**values)


def newest(connection: Connection, keys: Sequence[str], since: int) -> dict[str, Row]:
    """The newest alert of each key that is open or was cleared ``since``, locked."""
    if not keys:
        return {}
    wanted = given(connection.dialect.name, {"key": _c.key.type})
    statement = (
        _ROW.join(wanted, wanted.c.key == _c.key)
        .where(sa.or_(_OPEN, _c.cleared_at >= since))
        .order_by(_c.id)
        .with_for_update(of=alerts)
    )
    rows = connection.execute(statement, parameter([[key] for key in keys]))
    return {row[1]: _row(row) for row in rows}


def open_of_devices(
    connection: Connection, numbers: Iterable[int | None], source: Source
) -> list[Row]:
    """Open alerts that these devices themselves have raised, locked."""
    wanted = [number for number in numbers if number is not None]
    if not wanted:
        return []
    found = connection.execute(
        _ROW.where(_OPEN, _c.device_id.in_(wanted), _c.source == str(source))
        .order_by(_c.id)
        .with_for_update()
    )
    return [_row(row) for row in found]


def insert(connection: Connection, rows: Sequence[Row]) -> None:
    """Adds rows and gives them their numbers. One whose key another process has opened meanwhile
    keeps the number 0; so does one whose device is gone."""
    there = _there(connection, {row.device_id for row in rows})
    values = []
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        if row.device_id is not None and row.device_id not in there:
            continue
        one = {name: getattr(row, name) for name in _OF_ROW if name != "id"}
        values.append(
            {
                **one,
                "source": str(row.source),
                "state": str(row.state),
                "severity": int(row.severity),
            }
        )
        waiting.setdefault(row.key, []).append(row)
    if not values:
        return
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = (
        make(alerts)
        .on_conflict_do_nothing(index_elements=[_c.key], index_where=sa.text("cleared_at IS NULL"))
        .returning(_c.id, _c.key)
    )
    # Only the last one of a key can be open, and only an open one can be there already.
    for number, key in sorted((row[0], row[1]) for row in connection.execute(statement, values)):
        waiting[key].pop(0).id = int(number)


def _there(connection: Connection, numbers: Iterable[int | None]) -> set[int]:
    wanted = [number for number in numbers if number is not None]
    found: set[int] = set()
    for start in range(0, len(wanted), AT_ONCE):
        some = sa.select(devices.c.id).where(devices.c.id.in_(wanted[start : start + AT_ONCE]))
        found.update(connection.execute(some).scalars())
    return found


_CHANGED = ("severity", "state", "message", "value", "late", "count", "updated_at")
_UPDATE = (
    sa.update(alerts)
    .where(_c.id == sa.bindparam("number"))
    .values(
        {name: sa.bindparam(name) for name in (*_CHANGED, "cleared_at", "cleared_by", "entries")}
    )
)


def update(connection: Connection, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(
            _UPDATE,
            [
                {
                    "number": row.id,
                    **{name: getattr(row, name) for name in _CHANGED},
                    "severity": int(row.severity),
                    "state": str(row.state),
                    "cleared_at": row.cleared_at,
                    "cleared_by": row.cleared_by,
                    "entries": row.entries,
                }
                for row in rows
            ],
        )


_HISTORY = ("alert_id", "at", "event", "actor", "severity", "detail", "late")


def add_history(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """(alert, at, event, actor, severity, detail, late), the oldest first."""
    if rows:
        connection.execute(
            sa.insert(alert_history), [dict(zip(_HISTORY, row, strict=True)) for row in rows]
        )


def numbers_of(connection: Connection, numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
    """(open, all) alerts of devices that have any."""
    opened = sa.func.coalesce(sa.func.sum(sa.case((_OPEN, 1), else_=0)), 0)
    found: dict[int, tuple[int, int]] = {}
    wanted = sorted(numbers)
    for start in range(0, len(wanted), AT_ONCE):
        some = _c.device_id.in_(wanted[start : start + AT_ONCE])
        rows = connection.execute(
            sa.select(_c.device_id, opened, sa.func.count()).where(some).group_by(_c.device_id)
        )
        found.update({row[0]: (int(row[1]), int(row[2])) for row in rows})
    return found


def open_of_tenant(connection: Connection, tenant: str | None, at_most: int) -> int:
    """Open alerts of a tenant, counted up to ``at_most``."""
    mine = _c.tenant.is_(None) if tenant is None else _c.tenant == tenant
    some = sa.select(_c.id).where(_OPEN, mine).limit(at_most).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def delete_cleared(connection: Connection, device: int, number: int) -> None:
    """The oldest cleared alerts of a device."""
    oldest = (
        sa.select(_c.id)
        .where(_c.device_id == device, _c.cleared_at.is_not(None))
        .order_by(_c.id)
        .limit(number)
    )
    connection.execute(sa.delete(alerts).where(_c.id.in_(oldest)))


_DETACH = (
    sa.update(alerts)
    .where(_c.device_id == sa.bindparam("of_device"), _OPEN)
    .values(
        device_id=None,
        removed_device=sa.bindparam("of_name"),
        state=str(State.CLEARED),
        cleared_at=sa.bindparam("of_at"),
        cleared_by=sa.bindparam("of_by"),
        updated_at=sa.bindparam("of_at"),
    )
    .returning(_c.id, _c.severity)
)


def detach(
    connection: Connection, device: int, name: str, by: str, at: int
) -> list[tuple[int, int]]:
    """Clears the open alerts of a device that is removed, which then belong to no device; number
    and severity of each.

    Args:
        name: of the device, as people are shown it.
    """
    values = {"of_device": device, "of_name": name, "of_at": at, "of_by": by}
    rows = connection.execute(_DETACH, values)
    return sorted((row[0], row[1]) for row in rows)


def open_keys(connection: Connection, source: Source) -> dict[str, str]:
    """Key → message of the open alerts of a source."""
    found = connection.execute(sa.select(_c.key, _c.message).where(_OPEN, _c.source == str(source)))
    return {row[0]: row[1] for row in found}


# ---------------------------------------------------------------------- for people


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts are listed.

    Attributes:
        opened: open or cleared ones; ``None``: both.
        before: only alerts with a smaller number.
    """

    opened: bool | None = True
    states: tuple[State, ...] = ()
    severity: Severity | None = None
    device_id: int | None = None
    tenant: str | None = None
    rule_id: int | None = None
    assignee: str | None = None
    snoozed: bool | None = None
    before: int | None = None
    limit: int = 50


_OF_ALERT = (*(name for name in Alert.__dataclass_fields__ if name not in ("device", "history")),)
DEVICE_NAME = sa.func.coalesce(devices.c.name, sa.func.nullif(_c.removed_device, ""))
"""Of a row of alerts with its device, if it has one; NULL: it is about the platform."""
_ALERT = sa.select(*(_c[name] for name in _OF_ALERT), DEVICE_NAME.label("device")).select_from(
    alerts.outerjoin(devices, devices.c.id == _c.device_id)
)


def _alert(found: Sequence[Any], entries: Sequence[Entry] = ()) -> Alert:
    *values, name = found
    named: dict[str, Any] = dict(zip(_OF_ALERT, values, strict=True))
    tenant = named["tenant"]
    named["source"], named["state"] = Source(named["source"]), State(named["state"])
    named["severity"] = Severity(named["severity"])
    reference = None if name is None else (name if tenant == "default" else f"{tenant}:{name}")
    return Alert(**named, device=reference, history=tuple(entries))


def one(connection: Connection, actor: Actor, number: int, *, lock: bool = False) -> Alert | None:
    """By its number, without its history."""
    statement = walled(_ALERT.where(_c.id == number), _c.tenant, actor)
    if lock:
        statement = statement.with_for_update(of=alerts)
    found = connection.execute(statement).first()
    return None if found is None else _alert(found)


def listed(connection: Connection, actor: Actor, wanted: Wanted) -> list[Alert]:
    """The newest first."""
    statement = _ALERT.order_by(_c.id.desc()).limit(wanted.limit)
    if wanted.opened is not None:
        statement = statement.where(_OPEN if wanted.opened else _c.cleared_at.is_not(None))
    if wanted.states:
        statement = statement.where(_c.state.in_([str(state) for state in wanted.states]))
    if wanted.severity is not None:
        statement = statement.where(_c.severity >= int(wanted.severity))
    for column, value in (
        (_c.device_id, wanted.device_id),
        (_c.tenant, wanted.tenant),
        (_c.rule_id, wanted.rule_id),
        (_c.assignee, wanted.assignee),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.snoozed is not None:
        asleep = sa.and_(_c.snoozed_until.is_not(None), _c.snoozed_until > now_ms())
        statement = statement.where(asleep if wanted.snoozed else sa.not_(asleep))
    if wanted.before is not None:
        statement = statement.where(_c.id < wanted.before)
    statement = walled(statement, _c.tenant, actor)
    return [_alert(row) for row in connection.execute(statement)]


def history(connection: Connection, number: int) -> list[Entry]:
    """The oldest first."""
    h = alert_history.c
    found = connection.execute(
        sa.select(h.at, h.event, h.actor, h.severity, h.detail, h.late)
        .where(h.alert_id == number)
        .order_by(h.id)
    )
    return [Entry(r[0], r[1], r[2], Severity(r[3]), r[4], r[5]) for r in found]


def entries_of(connection: Connection, number: int) -> int:
    """How long its history is."""
    h = alert_history.c
    return int(
        connection.execute(
            sa.select(sa.func.count()).select_from(alert_history).where(h.alert_id == number)
        ).scalar_one()
    )


def change(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    connection.execute(sa.update(alerts).where(_c.id == number).values(dict(values)))


def open_by_severity(
    connection: Connection, actor: Actor, device: int | None = None
) -> dict[Severity, int]:
    """How many are open, the most severe first; those without any are not in it."""
    statement = sa.select(_c.severity, sa.func.count()).where(_OPEN).group_by(_c.severity)
    if device is not None:
        statement = statement.where(_c.device_id == device)
    statement = walled(statement.order_by(_c.severity.desc()), _c.tenant, actor)
    return {Severity(row[0]): int(row[1]) for row in connection.execute(statement)}
