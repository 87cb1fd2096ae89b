"""SQL of recipients and of their notifications. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.notify.channels import Parcel
from mooring.notify.model import Kind, Notification, Options, Recipient, State
from mooring.notify.options import document_of, options_of
from mooring.notify.turns import Due
from mooring.secrets.instance import Instance
from mooring.store.schema import notification_items, notifications, recipients

__all__ = [
    "add_notification",
    "attempts_of",
    "change",
    "claim",
    "delete",
    "due",
    "figures",
    "find",
    "finish",
    "forget",
    "history",
    "insert",
    "listed",
    "look_again",
    "note_failure",
    "note_success",
    "notification",
    "parcel",
    "remove_notification",
    "sealed_target",
    "trim",
    "waiting",
]

_r, _n, _i = recipients.c, notifications.c, notification_items.c
_COLUMNS = tuple(name for name in Recipient.__dataclass_fields__)


def _recipient(row: sa.RowMapping) -> Recipient:
    values = {name: row[name] for name in _COLUMNS}
    values["kind"] = Kind(values["kind"])
    values["options"] = options_of(msgspec.json.decode(values["options"]))
    return Recipient(**values)


_ONE = sa.select(*(_r[name] for name in _COLUMNS))

# ---------------------------------------------------------------------- recipients


def listed(
    connection: Connection, actor: Actor, *, tenant: str | None, after: int, limit: int
) -> list[Recipient]:
    """In the order in which they were added."""
    statement = _ONE.where(_r.id > after).order_by(_r.id).limit(limit)
    if tenant is not None:
        statement = statement.where(_r.tenant == tenant)
    rows = connection.execute(walled(statement, _r.tenant, actor)).mappings()
    return [_recipient(row) for row in rows]


def find(
    connection: Connection,
    actor: Actor,
    *,
    name: str,
    tenant: str | None = None,
    lock: bool = False,
) -> list[Recipient]:
    """Those of this name or number that the actor sees; a few at most."""
    wanted: sa.ColumnElement[bool] = _r.name == name
    if name.isascii() and name.isdigit() and len(name) < 19:
        wanted = sa.or_(wanted, _r.id == int(name))
    statement = walled(_ONE.where(wanted).order_by(_r.id).limit(10), _r.tenant, actor)
    if tenant is not None:
        statement = statement.where(_r.tenant == tenant)
    if lock:
        statement = statement.with_for_update()
    return [_recipient(row) for row in connection.execute(statement).mappings()]


def insert(connection: Connection, values: Mapping[str, Any], options: Options) -> int:
    """Raises ``IntegrityError`` when the tenant has one of this name."""
    row = {**values, "options": msgspec.json.encode(document_of(options)).decode()}
    made = connection.execute(sa.insert(recipients).values(row).returning(_r.id))
    return int(made.scalar_one())


def change(
    connection: Connection, number: int, values: Mapping[str, Any], options: Options | None = None
) -> None:
    row = dict(values)
    if options is not None:
        row["options"] = msgspec.json.encode(document_of(options)).decode()
    connection.execute(sa.update(recipients).where(_r.id == number).values(row))


def delete(connection: Connection, number: int) -> None:
    """With its outbox and its history."""
    connection.execute(sa.delete(recipients).where(_r.id == number))


def forget(connection: Connection, number: int) -> None:
    """Everything that a recipient has not been sent, when it is switched off."""
    connection.execute(sa.delete(notification_items).where(_i.recipient_id == number))
    connection.execute(
        sa.update(notifications)
        .where(_n.recipient_id == number, _n.next_at.is_not(None))
        .values(state=str(State.FAILED), next_at=None, body="", last_error="the recipient is off")
    )


def look_again(connection: Connection, number: int, at: int) -> None:
    """Its options have changed: all groups are looked at."""
    connection.execute(
        sa.update(notification_items).where(_i.recipient_id == number).values(due_at=at)
    )


def sealed_target(connection: Connection, number: int) -> bytes:
    found = sa.select(_r.sealed_target).where(_r.id == number)
    return bytes(connection.execute(found).scalar_one())


def figures(connection: Connection) -> dict[str, int]:
    """For ``/metrics``: notifications that wait, rows of the outbox, failing recipients."""
    count = sa.func.count()
    waits = sa.select(count).select_from(notifications).where(_n.next_at.is_not(None))
    outbox = sa.select(count).select_from(notification_items)
    fails = sa.select(count).select_from(recipients).where(_r.failures > 0, _r.enabled)
    row = connection.execute(
        sa.select(waits.scalar_subquery(), outbox.scalar_subquery(), fails.scalar_subquery())
    ).one()
    return {"waiting": int(row[0]), "outbox": int(row[1]), "failing": int(row[2])}


# ---------------------------------------------------------------------- notifications

_OF_NOTIFICATION = tuple(Notification.__dataclass_fields__)
_NOTIFICATION = sa.select(*(_n[name] for name in _OF_NOTIFICATION))


def _notification(row: sa.RowMapping) -> Notification:
    return Notification(**{**dict(row), "state": State(row["state"])})


def add_notification(
    connection: Connection,
    recipient: int,
    *,
    message_id: str,
    title: str,
    document: Mapping[str, Any],
    at: int,
    routine: bool = False,
) -> int:
    """One more, to be sent now; its number."""
    made = connection.execute(
        sa.insert(notifications)
        .values(
            recipient_id=recipient,
            message_id=message_id,
            state=str(State.WAITING),
            routine=routine,
            title=title,
            body=msgspec.json.encode(document).decode(),
            alerts=len(document["alerts"]) + document["more"],
            created_at=at,
            next_at=at,
        )
        .returning(_n.id)
    )
    return int(made.scalar_one())


def waiting(connection: Connection, recipient: int, at_most: int) -> int:
    """Notifications of a recipient that wait, counted up to ``at_most``."""
    some = (
        sa.select(_n.id)
        .where(_n.recipient_id == recipient, _n.next_at.is_not(None))
        .limit(at_most)
        .subquery()
    )
    return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def history(
    connection: Connection, recipient: int, *, before: int | None = None, limit: int = 50
) -> list[Notification]:
    """The newest first."""
    statement = _NOTIFICATION.where(_n.recipient_id == recipient)
    if before is not None:
        statement = statement.where(_n.id < before)
    rows = connection.execute(statement.order_by(_n.id.desc()).limit(limit)).mappings()
    return [_notification(row) for row in rows]


def notification(connection: Connection, recipient: int, number: int) -> Notification | None:
    """``None``: the recipient has no such notification."""
    wanted = _NOTIFICATION.where(_n.id == number, _n.recipient_id == recipient)
    row = connection.execute(wanted).mappings().first()
    return None if row is None else _notification(row)


def due(connection: Connection, now: int) -> list[Due]:
    """Of each recipient the oldest notification that may be sent now, the oldest first."""
    oldest = (
        sa.select(_n.recipient_id, sa.func.min(_n.id).label("id"))
        .where(_n.next_at <= now)
        .group_by(_n.recipient_id)
        .subquery()
    )
    rows = connection.execute(
        sa.select(oldest.c.id, _r.id, _r.tenant, _r.kind, _r.failures)
        .join(oldest, oldest.c.recipient_id == _r.id)
        .where(_r.enabled)
        .order_by(oldest.c.id)
    )
    return [Due(row[0], row[1], row[2], Kind(row[3]), row[4]) for row in rows]


def claim(connection: Connection, numbers: Sequence[int], now: int, until: int) -> set[int]:
    """Counts an attempt for each; those that no other process has claimed. One whose process is
    killed may be sent again at ``until``."""
    if not numbers:
        return set()
    claimed = connection.execute(
        sa.update(notifications)
        .where(_n.id.in_(numbers), _n.next_at <= now)
        .values(next_at=until, attempts=_n.attempts + 1)
        .returning(_n.id)
    )
    return {int(number) for number in claimed.scalars()}


def parcel(connection: Connection, number: int, instance: Instance) -> Parcel | None:
    """Everything that an attempt needs; ``None``: it is gone.

    Raises:
        Internal: it was sealed with another installation's key.
    """
    row = (
        connection.execute(
            sa.select(notifications, recipients)
            .set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
            .join(recipients, _r.id == _n.recipient_id)
            .where(_n.id == number)
        )
        .mappings()
        .first()
    )
    if row is None:
        return None
    secret = row["recipients_sealed_secret"]
    return Parcel(
        id=number,
        recipient=row["recipients_id"],
        tenant=row["recipients_tenant"],
        kind=Kind(row["recipients_kind"]),
        target=instance.unseal(row["recipients_sealed_target"]),
        secret="" if secret is None else instance.unseal(secret),
        private=row["recipients_private"],
        message_id=row["notifications_message_id"],
        body=row["notifications_body"],
        created_at=row["notifications_created_at"],
    )


def attempts_of(connection: Connection, number: int) -> tuple[int, int, bool] | None:
    """(attempts, unanswered, routine), locked."""
    row = connection.execute(
        sa.select(_n.attempts, _n.unanswered, _n.routine).where(_n.id == number).with_for_update()
    ).first()
    return None if row is None else (int(row[0]), int(row[1]), bool(row[2]))


def finish(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Writes what became of an attempt."""
    connection.execute(sa.update(notifications).where(_n.id == number).values(dict(values)))


def remove_notification(connection: Connection, number: int) -> None:
    connection.execute(sa.delete(notifications).where(_n.id == number))


def note_success(connection: Connection, recipient: int, at: int) -> None:
    connection.execute(
        sa.update(recipients).where(_r.id == recipient).values(failures=0, last_sent_at=at)
    )


def note_failure(connection: Connection, recipient: int, at: int, error: str) -> None:
    connection.execute(
        sa.update(recipients)
        .where(_r.id == recipient)
        .values(failures=_r.failures + 1, last_failed_at=at, last_error=error)
    )


def trim(connection: Connection, recipient: int, most: int) -> None:
    """Deletes the oldest finished notifications of a recipient that has too many."""
    over = sa.and_(_n.recipient_id == recipient, _n.next_at.is_(None))
    last = connection.execute(
        sa.select(_n.id).where(over).order_by(_n.id.desc()).offset(most).limit(1)
    ).scalar()
    if last is not None:
        connection.execute(sa.delete(notifications).where(over, _n.id <= last))
