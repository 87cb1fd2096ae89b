"""What a removed login leaves on the broker, and until when it is in the way.

A broker keeps sessions with what they queued, and retained messages, by client id and topic.
Anyone who gets that id or topic next would get them. So they are written down in the transaction
that removes the login, cleared by the process that follows the database, and no login of that
name is accepted before that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.broker.log_event import LogKind
from mooring.dialects.model import Attribute, Dialect, Identity
from mooring.store.engine import now_ms
from mooring.store.schema import broker_events, devices, leftovers

__all__ = ["Concerning", "Leftover", "Pending", "cleared", "left", "note", "own_filters", "pending"]

SEEN_MAX = 1000
"""Client ids of one login that are looked at, the newest first."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One removed login.

    Attributes:
        client_ids: sessions to end.
        filters: topics whose retained messages are to be deleted.
    """

    id: int
    username: str
    client_ids: tuple[str, ...]
    filters: tuple[str, ...]


_PENDING = sa.select(
    leftovers.c.username, leftovers.c.client_id, leftovers.c.scope, leftovers.c.name
)
_CONCERNING = _PENDING.where(
    sa.or_(
        leftovers.c.username.in_(sa.bindparam("usernames", expanding=True)),
        leftovers.c.client_id.in_(sa.bindparam("client_ids", expanding=True)),
        leftovers.c.name.in_(sa.bindparam("names", expanding=True)),
    )
)
_CONCERNING_ONE = _PENDING.where(
    sa.or_(
        leftovers.c.username == sa.bindparam("of"),
        leftovers.c.client_id == sa.bindparam("with_id", type_=sa.String),
        leftovers.c.name == sa.bindparam("named", type_=sa.String),
    )
)

_SAME = (
    leftovers.c.username == sa.bindparam("of"),
    leftovers.c.client_id.is_not_distinct_from(sa.bindparam("with_id", type_=sa.String)),
    leftovers.c.scope.is_not_distinct_from(sa.bindparam("within", type_=sa.String)),
    leftovers.c.name.is_not_distinct_from(sa.bindparam("named", type_=sa.String)),
)
_THE_SAME, _DELETE_THE_SAME = sa.select(leftovers).where(*_SAME), sa.delete(leftovers).where(*_SAME)
_NOTE = sa.insert(leftovers)
_SEEN = (
    sa.select(broker_events.c.client_id, sa.func.max(broker_events.c.id).label("id"))
    .where(
        broker_events.c.username == sa.bindparam("of"),
        broker_events.c.event == str(LogKind.CONNECTED),
        broker_events.c.client_id.is_not(None),
    )
    .group_by(broker_events.c.client_id)
    .order_by(sa.desc("id"))
    .limit(SEEN_MAX)
)


class Concerning(NamedTuple):
    """Logins that are asked about: usernames, and the client ids and names of those that are
    devices, at most 500 each."""

    usernames: Sequence[str]
    client_ids: Sequence[str] = ()
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """What is not cleared yet: usernames, client ids, and names in their scope."""

    usernames: frozenset[str] = frozenset()
    client_ids: frozenset[str] = frozenset()
    names: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.usernames or self.client_ids or self.names)

    def blocks(self, username: str, client_id: str | None, scope: str, name: str) -> bool:
        """Whether a login would find what another one left."""
        return (
            username in self.usernames
            or client_id in self.client_ids
            or (scope, name) in self.names
        )


def own_filters(dialect: Dialect, identity: Identity) -> tuple[str, ...]:
    """Filters of the topics that belong to this device alone, both ways."""
    return tuple(
        dict.fromkeys(
            topic
            for channel in dialect.channels
            if {Attribute.DEVICE, Attribute.MAC} & set(channel.placeholders.values())
            for topic in channel.addresses(identity)
        )
    )


def note(
    connection: Connection,
    username: str,
    *,
    client_id: str | None = None,
    scope: str | None = None,
    name: str | None = None,
    filters: Iterable[str] = (),
) -> None:
    """Writes down what a login leaves, in the transaction that removes it.

    Args:
        client_id, scope, name: of a device: what another one must not have before all is cleared.
        filters: topics of its own and of nobody else.
    """
    ids = [*([] if client_id is None else [client_id, username]), *_seen(connection, username)]
    topics = list(filters)
    same = {"of": username, "with_id": client_id, "within": scope, "named": name}
    former = connection.execute(_THE_SAME, same).all()
    for before in former:
        ids += json.loads(before.client_ids)
        topics += json.loads(before.filters)
    if former:
        connection.execute(_DELETE_THE_SAME, same)
    row = {
        "username": username,
        "client_id": client_id,
        "scope": scope,
        "name": name,
        "client_ids": json.dumps(list(dict.fromkeys(ids)), ensure_ascii=False),
        "filters": json.dumps(list(dict.fromkeys(topics)), ensure_ascii=False),
        "created_at": now_ms(),
    }
    connection.execute(_NOTE, row)


def left(connection: Connection, limit: int = 50) -> list[Leftover]:
    """The oldest that are not cleared yet."""
    rows = connection.execute(sa.select(leftovers).order_by(leftovers.c.id).limit(limit)).all()
    names = {name for row in rows for name in json.loads(row.client_ids)}
    taken = _others(connection, names)
    return [
        Leftover(
            row.id,
            row.username,
            tuple(
                name
                for name in json.loads(row.client_ids)
                if name == row.client_id or taken.get(name, row.username) == row.username
            ),
            tuple(json.loads(row.filters)),
        )
        for row in rows
    ]


def pending(connection: Connection, concerning: Concerning | None = None) -> Pending:
    """What is not cleared yet: all of it, or what may block the logins given."""
    if concerning is None:
        rows = connection.execute(_PENDING).all()
    elif len(concerning.usernames) == 1:
        one = {
            "of": concerning.usernames[0],
            "with_id": next(iter(concerning.client_ids), None),
            "named": next(iter(concerning.names), None),
        }
        rows = connection.execute(_CONCERNING_ONE, one).all()
    else:
        rows = connection.execute(_CONCERNING, concerning._asdict()).all()
    return Pending(
        frozenset(row.username for row in rows),
        frozenset(row.client_id for row in rows if row.client_id is not None),
        frozenset((row.scope, row.name) for row in rows if row.name is not None),
    )


def cleared(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(sa.delete(leftovers).where(leftovers.c.id.in_(ids)))


def _seen(connection: Connection, username: str) -> list[str]:
    """Client ids this login has connected with, unless another one did later."""
    return [row.client_id for row in connection.execute(_SEEN, {"of": username})]


def _others(connection: Connection, names: set[str]) -> dict[str, Any]:
    """Client id → the login it belongs to now, as far as that is known."""
    found: dict[str, Any] = {}
    every = sorted(names)
    for start in range(0, len(every), 500):
        part = every[start : start + 500]
        last = (
            sa.select(sa.func.max(broker_events.c.id))
            .where(
                broker_events.c.client_id.in_(part),
                broker_events.c.event == str(LogKind.CONNECTED),
            )
            .group_by(broker_events.c.client_id)
        )
        seen = sa.select(broker_events.c.client_id, broker_events.c.username).where(
            broker_events.c.id.in_(last)
        )
        found |= {row.client_id: row.username for row in connection.execute(seen)}
        for column in (devices.c.username, devices.c.client_id):
            bound = sa.select(column, devices.c.username).where(column.in_(part))
            found |= {row[0]: row[1] for row in connection.execute(bound)}
    return found
