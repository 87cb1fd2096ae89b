"""SQL that reads what devices sent. Nothing here writes; ingest does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.store.schema import (
    broker_changes,
    channels,
    counters,
    dead_letters,
    device_state,
    devices,
    downlinks,
    latest,
    messages,
    processes,
    strangers,
)
from mooring.telemetry.model import DeadLetter, Key, Stranger

__all__ = [
    "broker_changes_state",
    "channel_ids",
    "counter_values",
    "dead_letter_page",
    "device_counts",
    "downlinks_open",
    "history_rows",
    "latest_of",
    "latest_page",
    "process_rows",
    "rows_kept",
    "stranger_page",
]

Rows = Sequence[Sequence[Any]]

# The order that ``mooring.telemetry.service`` unpacks.
_SAID = (channels.c.name, channels.c.kind)
_LATEST = (latest.c.ts, latest.c.received_at, latest.c.time_source, latest.c.payload)
_MESSAGE = (
    messages.c.ts,
    messages.c.received_at,
    messages.c.time_source,
    messages.c.payload,
    messages.c.id,
    messages.c.seq,
)


def latest_of(connection: Connection, device_id: int) -> Rows:
    return connection.execute(
        sa.select(*_SAID, *_LATEST)
        .join_from(latest, channels, channels.c.id == latest.c.channel_id)
        .where(latest.c.device_id == device_id)
        .order_by(channels.c.name)
    ).all()


def latest_page(
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    after: int,
    tenant: str | None,
    among: Collection[int] | None = None,
) -> Rows:
    """A page of devices with everything they said last, in one statement; ``among``: only of
    these."""
    chosen = (
        sa.select(
            devices.c.id, devices.c.tenant, devices.c.name, devices.c.label, devices.c.dialect
        )
        .where(devices.c.id > after)
        .order_by(devices.c.id)
        .limit(limit)
    )
    if tenant is not None:
        chosen = chosen.where(devices.c.tenant == tenant)
    if among is not None:
        chosen = chosen.where(devices.c.id.in_(among))
    page = walled(chosen, devices.c.tenant, actor).subquery("page")
    return connection.execute(
        sa.select(
            *page.c,
            device_state.c.last_seen_at,
            device_state.c.online,
            device_state.c.connected,
            device_state.c.firmware,
            *_SAID,
            *_LATEST,
        )
        .select_from(page)
        .outerjoin(device_state, device_state.c.device_id == page.c.id)
        .outerjoin(latest, latest.c.device_id == page.c.id)
        .outerjoin(channels, channels.c.id == latest.c.channel_id)
        .order_by(page.c.id, channels.c.name)
    ).all()


def channel_ids(connection: Connection, dialect: str, name: str) -> list[int]:
    return list(
        connection.execute(
            sa.select(channels.c.id).where(channels.c.dialect == dialect, channels.c.name == name)
        ).scalars()
    )


def history_rows(
    connection: Connection,
    device_id: int,
    *,
    start: int | None,
    end: int | None,
    channel_ids: Sequence[int] | None,
    after: Key | None,
    newest_first: bool,
    limit: int,
) -> Rows:
    """Messages in the order of (ts, id): an index range, whatever page it is."""
    statement = (
        sa.select(*_SAID, *_MESSAGE)
        .join_from(messages, channels, channels.c.id == messages.c.channel_id)
        .where(messages.c.device_id == device_id)
        .limit(limit)
    )
    if start is not None:
        statement = statement.where(messages.c.ts >= start)
    if end is not None:
        statement = statement.where(messages.c.ts < end)
    if channel_ids is not None:
        statement = statement.where(messages.c.channel_id.in_(channel_ids))
    if newest_first:
        statement = statement.order_by(messages.c.ts.desc(), messages.c.id.desc())
        if after is not None:
            ts, number = after
            statement = statement.where(
                messages.c.ts <= ts, sa.or_(messages.c.ts < ts, messages.c.id < number)
            )
    else:
        statement = statement.order_by(messages.c.ts, messages.c.id)
        if after is not None:
            ts, number = after
            statement = statement.where(
                messages.c.ts >= ts, sa.or_(messages.c.ts > ts, messages.c.id > number)
            )
    return connection.execute(statement).all()


def dead_letter_page(
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    before: int | None,
    reason: str | None,
    device_id: int | None,
) -> list[DeadLetter]:
    """The newest first."""
    statement = (
        sa.select(
            dead_letters.c.id,
            dead_letters.c.received_at,
            dead_letters.c.reason,
            dead_letters.c.detail,
            dead_letters.c.topic,
            dead_letters.c.tenant,
            devices.c.name,
            dead_letters.c.size,
            dead_letters.c.payload,
        )
        .outerjoin_from(dead_letters, devices, devices.c.id == dead_letters.c.device_id)
        .order_by(dead_letters.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(dead_letters.c.id < before)
    if reason is not None:
        statement = statement.where(dead_letters.c.reason == reason)
    if device_id is not None:
        statement = statement.where(dead_letters.c.device_id == device_id)
    rows = connection.execute(walled(statement, dead_letters.c.tenant, actor))
    return [DeadLetter(*row) for row in rows]


def stranger_page(
    connection: Connection, actor: Actor, *, limit: int, after: Key | None
) -> list[Stranger]:
    """Who was heard last comes first."""
    c = strangers.c
    statement = (
        sa.select(
            c.dialect, c.tenant, c.name, c.first_seen_at, c.last_seen_at, c.messages, c.last_topic
        )
        .order_by(c.last_seen_at.desc(), c.dialect, c.tenant, c.name)
        .limit(limit)
    )
    if after is not None:
        seen, *names = after
        statement = statement.where(
            sa.or_(
                c.last_seen_at < seen,
                sa.and_(
                    c.last_seen_at == seen,
                    sa.tuple_(c.dialect, c.tenant, c.name) > sa.tuple_(*names),
                ),
            )
        )
    rows = connection.execute(walled(statement, c.tenant, actor))
    return [Stranger(*row) for row in rows]


# ------------------------------------------------------------------ figures


def device_counts(connection: Connection, actor: Actor) -> tuple[int, int, int]:
    """Devices, those online, those connected."""
    counted: list[sa.ColumnElement[Any]] = [
        sa.func.count(),
        sa.func.count(sa.case((device_state.c.online.is_(True), 1))),
        sa.func.count(sa.case((device_state.c.connected.is_(True), 1))),
    ]
    statement = sa.select(*counted).outerjoin_from(
        devices, device_state, device_state.c.device_id == devices.c.id
    )
    row = connection.execute(walled(statement, devices.c.tenant, actor)).one()
    return int(row[0]), int(row[1]), int(row[2])


def rows_kept(connection: Connection, actor: Actor, table: sa.Table, *, at_most: int) -> int:
    """How many rows of a table with a tenant the actor sees; counting stops at ``at_most``."""
    some = walled(sa.select(table.c.tenant), table.c.tenant, actor)
    return int(
        connection.execute(
            sa.select(sa.func.count()).select_from(some.limit(at_most).subquery())
        ).scalar_one()
    )


def counter_values(connection: Connection) -> dict[str, int]:
    rows = connection.execute(
        sa.select(counters.c.name, counters.c.value).order_by(counters.c.name)
    )
    return {row[0]: int(row[1]) for row in rows}


def downlinks_open(connection: Connection) -> int:
    """Messages to devices that are not over."""
    d = downlinks.c
    # Each of them expires. Said, too, SQLite takes the index that holds open ones alone.
    statement = sa.select(sa.func.count()).where(d.finished_at.is_(None), d.expires_at > 0)
    return int(connection.execute(statement).scalar_one())


def broker_changes_state(connection: Connection) -> tuple[int, str]:
    """The number of pending changes, and the newest error among them."""
    waiting = connection.execute(
        sa.select(sa.func.count()).select_from(broker_changes)
    ).scalar_one()
    error = connection.execute(
        sa.select(broker_changes.c.error)
        .where(broker_changes.c.error.is_not(None))
        .order_by(broker_changes.c.id.desc())
        .limit(1)
    ).scalar()
    return int(waiting), str(error or "")


def process_rows(connection: Connection) -> Rows:
    return connection.execute(
        sa.select(
            processes.c.name,
            processes.c.role,
            processes.c.pid,
            processes.c.host,
            processes.c.started_at,
            processes.c.beat_at,
            processes.c.detail,
        ).order_by(processes.c.role, processes.c.name)
    ).all()
