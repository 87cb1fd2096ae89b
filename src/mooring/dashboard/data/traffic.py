"""The newest messages of all devices, read by their numbers: as many of them cost the same in a
database of ten million."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.store.schema import channels, dead_letters, devices, messages

__all__ = ["NEWEST", "Line", "Stored", "Traffic", "newest", "newest_after", "traffic"]

NEWEST = 5_000  # messages that are looked at
REJECTED = 1_000  # rejected messages that are looked at


class Line(NamedTuple):
    """One stored message."""

    received_at: int
    device: str
    tenant: str
    dialect: str
    channel: str
    kind: str
    payload: str


class Stored(NamedTuple):
    """How many of the newest messages came on one channel."""

    dialect: str
    channel: str
    kind: str
    messages: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """The newest messages in numbers.

    Attributes:
        since: receive time of the oldest stored message that was looked at, epoch milliseconds;
            ``None`` without messages.
        messages: how many stored messages that are.
        stored: of them, by channel.
        rejected: reason → rejected messages received since then, of the newest ``REJECTED``.
    """

    since: int | None
    messages: int
    stored: list[Stored]
    rejected: dict[str, int]


def newest_after(connection: Connection, most: int) -> int:
    """The ``most`` newest messages have greater numbers."""
    if connection.dialect.name == "postgresql":
        # There an index finds a range of numbers, not the greatest one.
        statement: sa.Executable = sa.text("SELECT last_value FROM messages_id_seq")
    else:
        statement = sa.select(sa.func.max(messages.c.id))
    return int(connection.execute(statement).scalar() or 0) - most


def newest(
    connection: Connection,
    actor: Actor,
    *,
    device_id: int | None = None,
    kind: str = "",
    limit: int = 50,
) -> list[Line]:
    """The newest messages that the actor may see, the newest first."""
    m = messages.c
    statement = (
        sa.select(
            m.received_at,
            devices.c.name,
            devices.c.tenant,
            channels.c.dialect,
            channels.c.name,
            channels.c.kind,
            sa.func.substr(m.payload, 1, 300),
        )
        .select_from(messages)
        .join(devices, devices.c.id == m.device_id)
        .join(channels, channels.c.id == m.channel_id)
        .where(m.id > newest_after(connection, NEWEST))
        .order_by(m.id.desc())
        .limit(limit)
    )
    if device_id is not None:
        statement = statement.where(m.device_id == device_id)
    if kind:
        statement = statement.where(channels.c.kind == kind)
    rows = connection.execute(walled(statement, devices.c.tenant, actor))
    return [Line(*row) for row in rows]


def traffic(connection: Connection, actor: Actor) -> Traffic:
    """Where the newest messages came from, and why others were rejected meanwhile."""
    m = messages.c
    floor = newest_after(connection, NEWEST)
    count = sa.func.count()
    statement = (
        sa.select(
            channels.c.dialect, channels.c.name, channels.c.kind, count, sa.func.min(m.received_at)
        )
        .select_from(messages)
        .join(channels, channels.c.id == m.channel_id)
        .where(m.id > floor)
        .group_by(channels.c.dialect, channels.c.name, channels.c.kind)
        .order_by(channels.c.dialect, channels.c.name)
    )
    if actor.tenant is not None:
        statement = statement.join(devices, devices.c.id == m.device_id)
        statement = walled(statement, devices.c.tenant, actor)
    rows: list[Any] = list(connection.execute(statement))
    since = min((row[4] for row in rows), default=None)
    stored = [Stored(*row[:4]) for row in rows]
    return Traffic(
        since,
        sum(one.messages for one in stored),
        stored,
        {} if since is None else _rejected(connection, actor, since),
    )


def _rejected(connection: Connection, actor: Actor, since: int) -> dict[str, int]:
    d = dead_letters.c
    lately = sa.select(d.reason, d.received_at).order_by(d.id.desc()).limit(REJECTED)
    found = walled(lately, d.tenant, actor).subquery()
    statement = (
        sa.select(found.c.reason, sa.func.count())
        .where(found.c.received_at >= since)
        .group_by(found.c.reason)
        .order_by(found.c.reason)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}
