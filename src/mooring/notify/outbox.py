"""What follows from a change of an alert, in the transaction that changes it: a row for each
recipient that wants it.

Called by ``mooring.alerts.changes``, for many alerts at a time and mostly without any recipient,
which costs one question. A row that is committed with its alert cannot be lost by a kill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.notify import matching
from mooring.notify.grouping import NEWS, Event, State, follow
from mooring.notify.model import Kind, Options
from mooring.notify.options import options_of
from mooring.store.given import given, parameter
from mooring.store.schema import alerts, devices, notification_items, recipients

__all__ = ["Changed", "queue"]

_i = notification_items.c


class Changed(NamedTuple):
    """A change of an alert that recipients may get.

    Attributes:
        cleared: it was cleared; otherwise it was raised, its severity changed, or it was snoozed.
        at: epoch milliseconds.
        snoozed: only that.
    """

    alert: int
    at: int
    cleared: bool
    snoozed: bool = False


class _Who(NamedTuple):
    """A recipient, as far as its outbox is concerned."""

    id: int
    tenant: str
    platform: bool
    enabled: bool
    kind: Kind
    options: Options

    @property
    def wait_ms(self) -> int:
        """How long a first change waits for others."""
        return 0 if self.kind is Kind.ALERTMANAGER else self.options.wait_seconds * 1000


def queue(connection: Connection, changes: Sequence[Changed]) -> None:
    """Brings the outbox to what the alerts are now. In one call only the end counts: an alert
    that is raised and cleared leaves nothing."""
    if not changes:
        return
    since = _since(changes)
    rows = _alerts(connection, since)
    if not rows:
        return
    who = _by_tenant(_recipients(connection, {row["tenant"] for row in rows}))
    known = _items(connection, since)
    look = {change.alert for change in changes if change.snoozed}
    new: list[Sequence[object]] = []
    changed: list[Sequence[object]] = []
    over: list[Sequence[object]] = []
    for row in rows:
        for one in who.get(row["tenant"], ()):
            item = known.get((one.id, row["id"]))
            if item is None:
                if row["id"] not in look and _starts(one, row):
                    new.append(_new(one, row, since[row["id"]]))
                continue
            after = _after(item, row)
            if after is State.OVER or (after is State.ENDING and not one.options.cleared):
                over.append((one.id, row["id"]))
            elif (
                after is not State(item["state"])
                or row["severity"] != item["severity"]
                or row["id"] in look
            ):
                news = after in (State.WORSE, State.ENDING) and after is not State(item["state"])
                at = since[row["id"]]
                again = after is State.TOLD and after is not State(item["state"])
                # What waits for the end of a quiet time may be critical now.
                again = again or (after in NEWS and row["severity"] > item["severity"])
                # What is as the recipient knows it may be due to be repeated.
                due_at = at + one.wait_ms if news else at if again else item["due_at"]
                changed.append(
                    (
                        one.id,
                        row["id"],
                        str(after),
                        row["severity"],
                        at if news else item["since"],
                        at if row["id"] in look else due_at,
                    )
                )
    write = _writes(connection.dialect.name)
    for statement, some in ((write.add, new), (write.change, changed), (write.delete, over)):
        if some:
            connection.execute(statement, parameter(some))


_ITEM = ("recipient_id", "alert_id")
_CHANGED = ("state", "severity", "since", "due_at")
_NEW = (*_ITEM, "group_key", *_CHANGED)


class _Writes(NamedTuple):
    """One statement each, for any number of items, which are given in the order of the columns."""

    add: sa.Insert  # _NEW
    change: sa.Update  # _ITEM, _CHANGED
    delete: sa.Delete  # _ITEM


@lru_cache
def _writes(engine: str) -> _Writes:
    def rows(*names: str) -> sa.Subquery:
        return given(engine, {name: _i[name].type for name in names})

    new, changed = rows(*_NEW), rows(*_ITEM, *_CHANGED)
    return _Writes(
        sa.insert(notification_items).from_select(_NEW, sa.select(*(new.c[n] for n in _NEW))),
        sa.update(notification_items)
        .where(*(_i[name] == changed.c[name] for name in _ITEM))
        .values({name: changed.c[name] for name in _CHANGED}),
        sa.delete(notification_items).where(
            sa.tuple_(*(_i[name] for name in _ITEM)).in_(sa.select(rows(*_ITEM)))
        ),
    )


def _since(changes: Iterable[Changed]) -> dict[int, int]:
    """Alert → when it came into the state in which it is now."""
    found: dict[int, int] = {}
    cleared: set[int] = set()
    for change in changes:
        if change.snoozed:
            found.setdefault(change.alert, change.at)
        elif change.cleared:
            cleared.add(change.alert)
            found[change.alert] = change.at
        elif change.alert in cleared:
            cleared.discard(change.alert)
            found[change.alert] = change.at
        else:
            found.setdefault(change.alert, change.at)
    return found


def _starts(who: _Who, row: Mapping[str, Any]) -> bool:
    """Whether a recipient that knows nothing of an alert gets it."""
    return (
        who.enabled
        and row["cleared_at"] is None
        and not row["late"]
        and matching.is_wanted(
            who.options, severity=row["severity"], name=row["name"], device=row["device"]
        )
    )


def _new(who: _Who, row: Mapping[str, Any], at: int) -> Sequence[object]:
    """As ``_NEW`` names them."""
    group = matching.group_of(who.kind, source=row["source"], rule=row["rule_id"], name=row["name"])
    state = str(State.PENDING)
    return (who.id, row["id"], group, state, row["severity"], at, at + who.wait_ms)


def _after(item: Mapping[str, Any], row: Mapping[str, Any]) -> State:
    """Its state after what happened to the alert."""
    state = State(item["state"])
    if row["cleared_at"] is not None:
        return follow(state, Event.CLEARED)
    told = item["told_severity"]
    worse = told is not None and row["severity"] > told
    return follow(state, Event.WORSE if worse else Event.RAISED)


# ---------------------------------------------------------------------- reading


@lru_cache(2048)
def _options(document: str) -> Options:
    return options_of(msgspec.json.decode(document))


def _recipients(connection: Connection, tenants: set[str | None]) -> list[_Who]:
    """Those of the tenants, locked against being removed meanwhile."""
    r = recipients.c
    mine: sa.ColumnElement[bool] = r.tenant.in_([one for one in tenants if one is not None])
    if None in tenants:
        mine = sa.or_(mine, r.platform)
    found = connection.execute(
        sa.select(r.id, r.tenant, r.platform, r.enabled, r.kind, r.options)
        .where(mine)
        .order_by(r.id)
        .with_for_update(read=True, key_share=True)
    )
    return [_Who(row[0], row[1], row[2], row[3], Kind(row[4]), _options(row[5])) for row in found]


def _by_tenant(found: Iterable[_Who]) -> dict[str | None, list[_Who]]:
    """Tenant → its recipients; ``None``: those of alerts of the platform itself."""
    grouped: dict[str | None, list[_Who]] = {}
    for one in found:
        grouped.setdefault(one.tenant, []).append(one)
        if one.platform:
            grouped.setdefault(None, []).append(one)
    return grouped


def _alerts(connection: Connection, numbers: Iterable[int]) -> list[Any]:
    """Those of tenants with recipients."""
    wanted = given(connection.dialect.name, {"id": alerts.c.id.type})
    a, r = alerts.c, recipients.c
    columns = (a.id, a.tenant, a.source, a.rule_id, a.name, a.severity, a.late, a.cleared_at)
    device = sa.func.coalesce(devices.c.name, sa.func.nullif(a.removed_device, ""))
    of_tenant = sa.exists(sa.select(1).where(r.tenant == a.tenant))
    of_platform = sa.and_(a.tenant.is_(None), sa.exists(sa.select(1).where(r.platform)))
    statement = (
        sa.select(*columns, device.label("device"))
        .select_from(
            alerts.join(wanted, wanted.c.id == a.id).outerjoin(devices, devices.c.id == a.device_id)
        )
        .where(sa.or_(of_tenant, of_platform))
        .order_by(a.id)
    )
    rows = connection.execute(statement, parameter([[number] for number in sorted(numbers)]))
    return list(rows.mappings())


def _items(connection: Connection, numbers: Iterable[int]) -> dict[tuple[int, int], Any]:
    wanted = given(connection.dialect.name, {"id": alerts.c.id.type})
    statement = (
        sa.select(notification_items)
        .join(wanted, wanted.c.id == _i.alert_id)
        .order_by(_i.alert_id, _i.recipient_id)
        .with_for_update(of=notification_items)
    )
    rows = connection.execute(statement, parameter([[number] for number in sorted(numbers)]))
    return {(row["recipient_id"], row["alert_id"]): row for row in rows.mappings()}
