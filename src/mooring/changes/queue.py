"""SQL of the pending broker changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.engine import Noted, notes_of, now_ms
from mooring.store.given import given, parameter
from mooring.store.keyed import Keyed
from mooring.store.schema import broker_changes
from mooring.store.versions import bump

__all__ = [
    "ACCOUNTS",
    "Change",
    "due_changes",
    "enqueue",
    "enqueue_many",
    "existing",
    "make_due",
    "postpone",
    "settle",
    "waiting",
    "waiting_for",
    "waiting_usernames",
]


ACCOUNTS = "accounts"
"""The version that grows with each change of what the broker is to accept."""

OF_ONE = ("put", "remove", "kick")
"""Changes of one login; ``replace`` concerns all of them."""

# What every change of a device needs is put together once: that costs more than running it.
_DROP_KICKS = sa.delete(broker_changes).where(
    broker_changes.c.username == sa.bindparam("name"), broker_changes.c.action == "kick"
)
_DROP_OTHERS = sa.delete(broker_changes).where(
    broker_changes.c.username == sa.bindparam("name"), broker_changes.c.action != "kick"
)
_ENQUEUE = sa.insert(broker_changes).returning(broker_changes.c.id)
_SETTLE = Keyed(lambda match: sa.delete(broker_changes).where(match(broker_changes.c.id)))


@dataclass(frozen=True, slots=True)
class Change:
    """A pending change: something that the broker has not applied yet."""

    id: int
    action: str
    username: str
    sealed_secret: bytes | None = field(repr=False)
    attempts: int


def enqueue(
    connection: Connection, action: str, username: str, *, sealed_secret: bytes | None = None
) -> int:
    """Adds a change in the caller's transaction; returns its number.

    A later change of the same login makes earlier ones moot; they are dropped here. What a
    login may do and whether its sessions end are two matters: a kick replaces only kicks.
    """
    connection.execute(_DROP_KICKS if action == "kick" else _DROP_OTHERS, {"name": username})
    at, notes = now_ms(), notes_of(connection)
    row = {
        "action": action,
        "username": username,
        "sealed_secret": sealed_secret,
        "created_at": at,
        # The process that commits it may apply it; another one does so after that time.
        "next_at": at + (notes.grace_ms if action in OF_ONE else 0),
    }
    number = int(connection.execute(_ENQUEUE, row).scalar_one())
    bump(connection, ACCOUNTS)
    if action in OF_ONE:
        notes.changes.append(Noted(number, action, username))
    return number


def enqueue_many(connection: Connection, action: str, usernames: Sequence[str]) -> list[int]:
    """``enqueue`` for many logins, in few statements; without secrets, and not for kicks."""
    if not usernames:
        return []
    some = given(connection.dialect.name, {"username": broker_changes.c.username.type})
    parameters = parameter([name] for name in usernames)
    connection.execute(
        sa.delete(broker_changes).where(
            broker_changes.c.username.in_(sa.select(some.c.username)),
            broker_changes.c.action != "kick",
        ),
        parameters,
    )
    at, notes = now_ms(), notes_of(connection)
    values = {
        "action": sa.literal(action),
        "username": some.c.username,
        "created_at": sa.literal(at, sa.BigInteger),
        "next_at": sa.literal(at + (notes.grace_ms if action in OF_ONE else 0), sa.BigInteger),
    }
    insert = sa.insert(broker_changes).from_select(list(values), sa.select(*values.values()))
    added = insert.returning(broker_changes.c.id, broker_changes.c.username)
    found = connection.execute(added, parameters).all()
    bump(connection, ACCOUNTS)
    if action in OF_ONE:
        notes.changes.extend(Noted(number, action, username) for number, username in found)
    return [number for number, _ in found]


def due_changes(connection: Connection, at: int, limit: int = 500) -> list[Change]:
    rows = connection.execute(
        sa.select(
            broker_changes.c.id,
            broker_changes.c.action,
            broker_changes.c.username,
            broker_changes.c.sealed_secret,
            broker_changes.c.attempts,
        )
        .where(broker_changes.c.next_at <= at)
        .order_by(broker_changes.c.id)
        .limit(limit)
    )
    return [Change(*row) for row in rows]


def make_due(connection: Connection, ids: Sequence[int]) -> None:
    """These changes, if none was tried yet, are due now."""
    connection.execute(
        sa.update(broker_changes)
        .where(broker_changes.c.id.in_(ids), broker_changes.c.attempts == 0)
        .values(next_at=now_ms())
    )


def existing(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Which of these changes are still there: no later one has taken their place."""
    return set(
        connection.execute(
            sa.select(broker_changes.c.id).where(broker_changes.c.id.in_(ids))
        ).scalars()
    )


def waiting_for(connection: Connection, username: str) -> list[int]:
    """The changes of one login that the broker may not have applied yet."""
    return list(
        connection.execute(
            sa.select(broker_changes.c.id).where(broker_changes.c.username == username)
        ).scalars()
    )


def settle(connection: Connection, ids: Sequence[int]) -> None:
    """The broker has applied the changes: they and their secrets are deleted."""
    _SETTLE.execute(connection, ids)


def postpone(connection: Connection, ids: Sequence[int], next_at: int, error: str) -> None:
    connection.execute(
        sa.update(broker_changes)
        .where(broker_changes.c.id.in_(ids))
        .values(next_at=next_at, attempts=broker_changes.c.attempts + 1, error=error)
    )


def waiting(connection: Connection, ids: Sequence[int] | None = None) -> list[tuple[int, str]]:
    """Changes not applied yet, with the last error of each (empty: not tried)."""
    statement = sa.select(
        broker_changes.c.id, sa.func.coalesce(broker_changes.c.error, "")
    ).order_by(broker_changes.c.id)
    if ids is not None:
        statement = statement.where(broker_changes.c.id.in_(ids))
    return [(row[0], row[1]) for row in connection.execute(statement)]


def waiting_usernames(connection: Connection, *, action: str | None = None) -> set[str]:
    """Logins with changes not applied yet; of one kind where ``action`` is given."""
    statement = sa.select(broker_changes.c.username)
    if action is not None:
        statement = statement.where(broker_changes.c.action == action)
    return set(connection.execute(statement).scalars())
