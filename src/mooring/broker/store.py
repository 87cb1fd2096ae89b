"""SQL of broker users: logins that are not devices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult, Row

from mooring.broker.users import BrokerUser
from mooring.identity.account import Account, Rights
from mooring.store.engine import now_ms
from mooring.store.keyed import Keyed
from mooring.store.schema import broker_users
from mooring.store.versions import bump

__all__ = ["accounts", "delete", "find", "insert_many", "listed", "set_verifier"]


_ALL = sa.select(broker_users).order_by(broker_users.c.username)
_NAMED = Keyed(lambda match: _ALL.where(match(broker_users.c.username)))


def insert_many(connection: Connection, users: Iterable[tuple[BrokerUser, str | None]]) -> None:
    """Adds users with their verifiers.

    Raises:
        sqlalchemy.exc.IntegrityError: a name is taken.
    """
    rows = [
        {
            "username": user.username,
            "verifier": verifier,
            "publish": json.dumps(user.rights.publish, ensure_ascii=False),
            "subscribe": json.dumps(user.rights.subscribe, ensure_ascii=False),
            "note": user.note,
            "created_at": user.created_at or now_ms(),
        }
        for user, verifier in users
    ]
    if rows:
        connection.execute(sa.insert(broker_users), rows)
        bump(connection, "broker_users")  # ingest is subscribed to what they may publish


def find(connection: Connection, username: str) -> BrokerUser | None:
    row = _NAMED.execute(connection, [username]).first()
    return None if row is None else _user(row)


def listed(connection: Connection, *, limit: int, after: str = "") -> list[BrokerUser]:
    """Users by name, from the one after ``after``."""
    rows = connection.execute(
        sa.select(broker_users)
        .where(broker_users.c.username > after)
        .order_by(broker_users.c.username)
        .limit(limit)
    )
    return [_user(row) for row in rows]


def accounts(connection: Connection, usernames: Sequence[str] | None = None) -> list[Account]:
    """Every broker user as the broker is to have it, or those named."""
    rows = connection.execute(_ALL) if usernames is None else _named(connection, usernames)
    return [Account(row.username, row.verifier, _user(row).rights) for row in rows]


def _named(connection: Connection, usernames: Sequence[str]) -> CursorResult[Any]:
    return _NAMED.execute(connection, usernames)


def set_verifier(connection: Connection, username: str, verifier: str) -> bool:
    """Whether there is such a user; it has the verifier then."""
    changed = connection.execute(
        sa.update(broker_users).where(broker_users.c.username == username).values(verifier=verifier)
    )
    return changed.rowcount > 0


def delete(connection: Connection, username: str) -> bool:
    """Whether there was such a user."""
    gone = connection.execute(sa.delete(broker_users).where(broker_users.c.username == username))
    if gone.rowcount > 0:
        bump(connection, "broker_users")
    return gone.rowcount > 0


def _user(row: Row[tuple[object, ...]]) -> BrokerUser:
    rights = Rights(tuple(json.loads(row.publish)), tuple(json.loads(row.subscribe)))
    return BrokerUser(row.username, rights, row.note, row.created_at, row.verifier is not None)
