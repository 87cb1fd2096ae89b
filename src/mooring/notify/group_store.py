"""SQL of the outbox, for the worker that makes notifications of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.notify.grouping import Item, State, is_hidden
from mooring.notify.model import Kind, Options, word_of
from mooring.notify.options import options_of
from mooring.store.given import given, parameter
from mooring.store.schema import alerts, devices, notification_items, recipients

__all__ = [
    "WIDER",
    "WORK",
    "Group",
    "Who",
    "due_groups",
    "entries",
    "items",
    "postpone",
    "told",
    "who",
    "wider_since",
]

WIDER = "broker_unreachable"
"""The alert of the platform that explains alerts about devices."""

WORK = """
SELECT (SELECT min(due_at) FROM notification_items WHERE due_at IS NOT NULL),
       (SELECT min(next_at) FROM notifications WHERE next_at IS NOT NULL)
"""
"""When something is due next: in the outbox, and of what is to be sent."""

_i, _r, _a = notification_items.c, recipients.c, alerts.c


class Group(NamedTuple):
    """What goes out together."""

    recipient: int
    key: str
    tenant: str


class Who(NamedTuple):
    """The recipient of a group."""

    kind: Kind
    options: Options


def due_groups(connection: Connection, now: int, limit: int) -> list[Group]:
    """Groups that have to be looked at, those that have waited longest first: of each tenant the
    first one, then the second one of each, so a tenant with many groups leaves room to others."""
    first = sa.func.min(_i.due_at)
    place = sa.func.row_number().over(partition_by=_r.tenant, order_by=(first, _i.recipient_id))
    due = (
        sa.select(
            _i.recipient_id, _i.group_key, _r.tenant, first.label("first"), place.label("place")
        )
        .join(recipients, _r.id == _i.recipient_id)
        .where(_i.due_at <= now)
        .group_by(_i.recipient_id, _i.group_key, _r.tenant)
        .subquery()
    )
    rows = connection.execute(
        sa.select(due.c.recipient_id, due.c.group_key, due.c.tenant)
        .order_by(due.c.place, due.c.first, due.c.recipient_id)
        .limit(limit)
    )
    return [Group(row[0], row[1], row[2]) for row in rows]


def who(connection: Connection, recipient: int) -> Who | None:
    """``None``: it is gone or off."""
    row = connection.execute(
        sa.select(_r.kind, _r.options).where(_r.id == recipient, _r.enabled)
    ).first()
    return None if row is None else Who(Kind(row[0]), options_of(msgspec.json.decode(row[1])))


def wider_since(connection: Connection) -> int | None:
    """When the alert that explains others was raised; ``None``: it is not open."""
    found = sa.select(_a.raised_at).where(
        _a.cleared_at.is_(None), _a.source == "platform", _a.name == WIDER, _a.tenant.is_(None)
    )
    return connection.execute(found).scalar()


def items(connection: Connection, group: Group, wider: int | None) -> list[Item]:
    """Locked, the most severe first."""
    rows = connection.execute(
        sa.select(
            _i.alert_id,
            _i.state,
            _i.severity,
            _i.since,
            _i.told_at,
            _a.device_id,
            _a.raised_at,
            _a.snoozed_until,
            _a.state.label("alert_state"),
        )
        .join(alerts, _a.id == _i.alert_id)
        .where(_i.recipient_id == group.recipient, _i.group_key == group.key)
        .order_by(_i.alert_id)
        .with_for_update(of=notification_items)
    )
    found = [
        Item(
            alert=row[0],
            state=State(row[1]),
            severity=row[2],
            since=row[3],
            told_at=row[4],
            hidden=is_hidden(of_device=row[5] is not None, raised_at=row[6], wider_since=wider),
            snoozed_until=row[7],
            acknowledged=row[8] == "acknowledged",
        )
        for row in rows
    ]
    return sorted(found, key=lambda item: (-item.severity, item.alert))


def entries(connection: Connection, recipient: int, sent: Sequence[Item]) -> list[dict[str, Any]]:
    """Alerts as a notification shows them, in the order of the items."""
    a, d = alerts.c, devices.c
    device_name = sa.func.coalesce(d.name, a.removed_device)
    wanted = given(connection.dialect.name, {"id": a.id.type})
    rows = connection.execute(
        sa.select(alerts, device_name.label("device"), _i.told_severity)
        .join(wanted, wanted.c.id == a.id)
        .join(notification_items, sa.and_(_i.alert_id == a.id, _i.recipient_id == recipient))
        .outerjoin(devices, d.id == a.device_id),
        parameter([[item.alert] for item in sent]),
    ).mappings()
    by_number = {row["id"]: row for row in rows}
    return [_entry(by_number[item.alert], item) for item in sent if item.alert in by_number]


def _entry(row: sa.RowMapping, item: Item) -> dict[str, Any]:
    status = {State.ENDING: "cleared", State.WORSE: "worse", State.PENDING: "raised"}
    was = row["told_severity"]
    return {
        "number": row["id"],
        "status": status.get(item.state, "open"),
        "severity": word_of(row["severity"]),
        "was": None if was is None else word_of(was),
        "name": row["name"],
        "tenant": row["tenant"] or "",
        "device": row["device"] or "",
        "source": row["source"],
        "message": row["message"],
        "value": row["value"],
        "raised_at": row["raised_at"],
        "cleared_at": row["cleared_at"],
    }


def told(
    connection: Connection, recipient: int, sent: Collection[Item], *, at: int, due_at: int
) -> None:
    """The recipient is to be notified of these: cleared ones leave the outbox."""
    over = [[item.alert] for item in sent if item.state is State.ENDING]
    stay = [[item.alert] for item in sent if item.state is not State.ENDING]
    wanted = given(connection.dialect.name, {"id": _i.alert_id.type})
    mine = sa.and_(_i.recipient_id == recipient, _i.alert_id.in_(sa.select(wanted.c.id)))
    if over:
        connection.execute(sa.delete(notification_items).where(mine), parameter(over))
    if stay:
        connection.execute(
            sa.update(notification_items)
            .where(mine)
            .values(state=str(State.TOLD), told_at=at, told_severity=_i.severity, due_at=due_at),
            parameter(stay),
        )


def postpone(connection: Connection, group: Group, now: int, due_at: int | None) -> None:
    """Nothing of the group is due before ``due_at``."""
    connection.execute(
        sa.update(notification_items)
        .where(
            _i.recipient_id == group.recipient,
            _i.group_key == group.key,
            _i.due_at <= (now if due_at is None else max(now, due_at)),
        )
        .values(due_at=due_at)
    )
