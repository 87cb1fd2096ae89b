"""SQL of retention. The caller decides on transactions; each call is small."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.retention.policy import Rule
from mooring.rollups.model import Level
from mooring.rollups.rows import fetch, numbers
from mooring.store import usage
from mooring.store.schema import (
    channels,
    devices,
    messages,
    removed_devices,
    retention,
    retention_progress,
    rollup_open,
    rollup_queue,
    rollups,
)

__all__ = [
    "Gone",
    "Row",
    "channel_kinds",
    "delete_messages",
    "delete_of_device",
    "delete_oldest_of",
    "delete_rollups",
    "device_tenants",
    "devices_of",
    "first_bucket",
    "first_time",
    "forget_progress",
    "next_pair",
    "not_rolled_up_from",
    "oldest_waiting",
    "open_from",
    "progress",
    "remove_rule",
    "rows_after",
    "rules",
    "save_progress",
    "set_rule",
]

Row = tuple[int, int, int, int]  # id, device, channel, received at
Gone = tuple[int, int, int]  # device, time, bytes of the payload


def rules(connection: Connection) -> list[Rule]:
    rows = connection.execute(
        sa.select(retention.c.tenant, retention.c.kind, retention.c.days).order_by(
            retention.c.tenant, retention.c.kind
        )
    )
    return [Rule(*row) for row in rows]


def set_rule(connection: Connection, rule: Rule) -> None:
    remove_rule(connection, rule.tenant, rule.kind)
    connection.execute(
        sa.insert(retention).values(tenant=rule.tenant, kind=rule.kind, days=rule.days)
    )


def remove_rule(connection: Connection, tenant: str, kind: str) -> bool:
    """Whether there was one."""
    gone = connection.execute(
        sa.delete(retention).where(retention.c.tenant == tenant, retention.c.kind == kind)
    )
    return gone.rowcount > 0


# ---------------------------------------------------------------------- how far


def progress(connection: Connection, days: int) -> int:
    """How far a term has been worked off: a row's number, on PostgreSQL a time."""
    found = connection.execute(
        sa.select(retention_progress.c.done_id).where(retention_progress.c.days == days)
    ).scalar()
    return 0 if found is None else int(found)


def save_progress(connection: Connection, days: int, done: int) -> None:
    connection.execute(sa.delete(retention_progress).where(retention_progress.c.days == days))
    connection.execute(sa.insert(retention_progress).values(days=days, done_id=done))


def forget_progress(connection: Connection) -> None:
    """After a change of the rules everything is looked at again."""
    connection.execute(sa.delete(retention_progress))


# ---------------------------------------------------------------------- whose and what


def device_tenants(connection: Connection) -> dict[int, str]:
    """Also of those that are removed, as long as they have messages."""
    found = {}
    for table in (removed_devices.c.device_id, devices.c.id):
        rows = connection.execute(sa.select(table, table.table.c.tenant))
        found.update({row[0]: row[1] for row in rows})
    return found


def devices_of(connection: Connection, tenant: str) -> list[int]:
    """The numbers of a tenant's devices, removed ones first."""
    found: list[int] = []
    for column in (removed_devices.c.device_id, devices.c.id):
        where = column.table.c.tenant == tenant
        found += connection.execute(sa.select(column).where(where).order_by(column)).scalars()
    return found


def channel_kinds(connection: Connection) -> dict[int, str]:
    return {row[0]: row[1] for row in connection.execute(sa.select(channels.c.id, channels.c.kind))}


# ---------------------------------------------------------------------- messages


def not_rolled_up_from(connection: Connection) -> int | None:
    """The first row that no roll-up holds yet: it and later ones must stay."""
    return connection.execute(sa.select(sa.func.min(rollup_queue.c.first_id))).scalar()


def oldest_waiting(connection: Connection) -> int | None:
    """The device time before which every message is rolled up."""
    return connection.execute(sa.select(sa.func.min(rollup_queue.c.first_ts))).scalar()


def first_time(connection: Connection, device: int, start: int) -> int | None:
    """The time of a device's first message from a time on."""
    return connection.execute(
        sa.select(sa.func.min(messages.c.ts)).where(
            messages.c.device_id == device, messages.c.ts >= start
        )
    ).scalar()


def rows_after(connection: Connection, after: int, before: int | None, limit: int) -> list[Row]:
    """The next rows by number, which is the order in which they came."""
    bound = "" if before is None else f" AND id < {before}"
    # The newest row stays: SQLite counts on from the largest number there is, and a number
    # must not come twice.
    bound += " AND id < (SELECT max(id) FROM messages)"
    return fetch(
        connection,
        "SELECT id, device_id, channel_id, received_at FROM messages"  # noqa: S608 - numbers
        f" WHERE id > {after}{bound} ORDER BY id LIMIT {limit}",
    )


def delete_messages(connection: Connection, ids: Sequence[int]) -> list[Gone]:
    """Rows by their numbers; a range where they are one."""
    if not ids:
        return []
    if ids[-1] - ids[0] + 1 == len(ids):
        where: sa.ColumnElement[bool] = messages.c.id.between(ids[0], ids[-1])
    else:
        where = sa.text(f"id IN ({numbers(ids)})")  # type: ignore[assignment]
    return _delete(connection, where)


def delete_of_device(
    connection: Connection, device: int, channel_ids: Iterable[int], start: int, end: int
) -> list[Gone]:
    """Messages of some channels of a device between two times: a range of the index."""
    return _delete(
        connection,
        messages.c.device_id == device,
        messages.c.ts >= start,
        messages.c.ts < end,
        messages.c.channel_id.in_(list(channel_ids)),
    )


def delete_oldest_of(
    connection: Connection,
    devices_: Sequence[int],
    start: int,
    end: int,
    limit: int,
    *,
    before_id: int | None,
    before: int | None,
) -> list[Gone]:
    """At most ``limit`` messages of some devices between two times, the oldest ones.

    Args:
        before_id, before: as ``not_rolled_up_from`` and ``oldest_waiting`` say.
    """
    c = messages.c
    key = (c.device_id, c.ts, c.fingerprint)
    bounds = [c.device_id.in_(list(devices_)), c.ts >= start, c.ts < end]
    if connection.dialect.name == "sqlite":
        # The newest row stays: see ``rows_after``.
        bounds.append(c.id < sa.select(sa.func.max(c.id)).scalar_subquery())
        if before_id is not None:
            bounds.append(c.id < before_id)
    elif before is not None:
        bounds.append(c.ts < before)
    some = sa.select(*key).where(*bounds).order_by(c.ts).limit(limit)
    # The bounds again: PostgreSQL then knows which weeks to look at.
    return _delete(connection, sa.tuple_(*key).in_(some), c.ts >= start, c.ts < end)


def _delete(connection: Connection, *where: sa.ColumnElement[bool]) -> list[Gone]:
    statement = sa.delete(messages).where(*where)
    rows = connection.execute(
        statement.returning(messages.c.device_id, messages.c.ts, usage.octets(connection))
    )
    return [(row[0], row[1], row[2]) for row in rows]


# ---------------------------------------------------------------------- roll-ups


def next_pair(connection: Connection, after: tuple[int, int]) -> tuple[int, int] | None:
    """The next device and channel that have roll-ups, by jumps in the index."""
    device, channel = after
    c = rollups.c
    for where in ((c.device_id == device, c.channel_id > channel), (c.device_id > device,)):
        row = connection.execute(
            sa.select(c.device_id, c.channel_id)
            .where(*where)
            .order_by(c.device_id, c.channel_id)
            .limit(1)
        ).first()
        if row is not None:
            return row[0], row[1]
    return None


def first_bucket(connection: Connection, pair: tuple[int, int], level: Level) -> int | None:
    """Where the oldest roll-up of that level begins, in minutes."""
    return connection.execute(
        sa.select(sa.func.min(rollups.c.bucket)).where(*_of(pair, level))
    ).scalar()


def open_from(connection: Connection, pair: tuple[int, int]) -> int | None:
    """The first open hour or day: what makes it up must stay."""
    return connection.execute(
        sa.select(sa.func.min(rollup_open.c.bucket)).where(
            rollup_open.c.device_id == pair[0], rollup_open.c.channel_id == pair[1]
        )
    ).scalar()


def delete_rollups(connection: Connection, pair: tuple[int, int], level: Level, before: int) -> int:
    return connection.execute(
        sa.delete(rollups).where(*_of(pair, level), rollups.c.bucket < before)
    ).rowcount


def _of(pair: tuple[int, int], level: Level) -> Collection[sa.ColumnElement[bool]]:
    return (
        rollups.c.device_id == pair[0],
        rollups.c.channel_id == pair[1],
        rollups.c.level == int(level),
    )
