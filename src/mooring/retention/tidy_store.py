"""SQL of ``tidy``. The caller decides on transactions; each statement is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.schema import (
    alerts,
    api_keys,
    audit,
    broker_requests,
    certificates,
    claim_codes,
    commands,
    dead_letters,
    device_metrics,
    device_state,
    devices,
    downlinks,
    firmware_updates,
    former_verifiers,
    latest,
    messages,
    metrics,
    metrics_refused,
    processes,
    removed_devices,
    rollups,
    rotations,
    sequences,
    sightings,
)

__all__ = [
    "AUDIT_ALL",
    "AUDIT_FAILURES",
    "OF_ALERTS",
    "OF_COMMANDS",
    "OF_DEAD_LETTERS",
    "OF_DEVICES",
    "OF_DOWNLINKS",
    "OF_FORMER",
    "OF_ROTATIONS",
    "Largest",
    "Which",
    "crowded",
    "dead_letter_bytes",
    "delete_oldest",
    "delete_oldest_letters",
    "delete_orphaned_sightings",
    "delete_orphans",
    "delete_silent_removed",
    "delete_some",
    "delete_unused_metrics",
    "finished",
    "largest_of",
    "orphans",
    "surplus_before",
]

DAY_MS = 86_400_000
PROCESS_MS = 7 * DAY_MS

# What anybody who reaches the HTTP port can make: see ``access.audit_log``.
FAILURES = ("login.failed",)


@dataclass(frozen=True, slots=True)
class Which:
    """Rows of a table that may go.

    Attributes:
        key: the column that names a row.
        condition: which rows.
    """

    table: sa.Table
    key: sa.Column[Any]
    condition: sa.ColumnElement[bool]

    def below(self, number: int) -> Which:
        """Those whose key is smaller."""
        return Which(self.table, self.key, sa.and_(self.condition, self.key < number))


AUDIT_ALL = Which(audit, audit.c.id, sa.true())
AUDIT_FAILURES = Which(audit, audit.c.id, audit.c.action.in_(FAILURES))


def finished(before: int, now: int) -> list[Which]:
    """Records whose matter ended before ``before`` (epoch milliseconds)."""
    codes, keys, certs = claim_codes.c, api_keys.c, certificates.c
    return [
        Which(
            claim_codes,
            codes.id,
            sa.func.coalesce(codes.claimed_at, codes.revoked_at, codes.expires_at) < before,
        ),
        Which(api_keys, keys.id, sa.func.coalesce(keys.revoked_at, keys.expires_at) < before),
        Which(certificates, certs.id, certs.not_after < before),
        Which(rotations, rotations.c.id, rotations.c.finished_at < before),
        Which(downlinks, downlinks.c.id, downlinks.c.finished_at < before),
        Which(commands, commands.c.id, commands.c.finished_at < before),
        Which(
            firmware_updates,
            firmware_updates.c.id,
            sa.and_(firmware_updates.c.finished_at < before, firmware_updates.c.due_at.is_(None)),
        ),
        Which(alerts, alerts.c.id, alerts.c.cleared_at < before),
        Which(
            broker_requests,
            broker_requests.c.id,
            sa.and_(
                broker_requests.c.state != "waiting", broker_requests.c.created_at < now - DAY_MS
            ),
        ),
        Which(processes, processes.c.name, processes.c.beat_at < now - PROCESS_MS),
    ]


def delete_some(connection: Connection, which: Which, limit: int) -> int:
    """At most ``limit`` rows; how many there were."""
    some = sa.select(which.key).where(which.condition).order_by(which.key).limit(limit)
    return connection.execute(sa.delete(which.table).where(which.key.in_(some))).rowcount


def surplus_before(connection: Connection, which: Which, most: int) -> int | None:
    """The key below which rows exceed ``most``; ``None`` if there are fewer."""
    return connection.execute(
        sa.select(which.key)
        .where(which.condition)
        .order_by(which.key.desc())
        .offset(most - 1)
        .limit(1)
    ).scalar()


# ---------------------------------------------------------------------- rows of one device

OF_FORMER = Which(former_verifiers, former_verifiers.c.id, sa.true())
OF_ROTATIONS = Which(rotations, rotations.c.created_at, rotations.c.finished_at.is_not(None))
OF_DOWNLINKS = Which(downlinks, downlinks.c.id, downlinks.c.finished_at.is_not(None))
# Those of removed devices belong to no device any more, and are not counted as those of one.
OF_ALERTS = Which(
    alerts,
    alerts.c.id,
    sa.and_(alerts.c.cleared_at.is_not(None), alerts.c.removed_device == ""),
)
OF_COMMANDS = Which(commands, commands.c.id, commands.c.finished_at.is_not(None))
OF_UPDATES = Which(
    firmware_updates,
    firmware_updates.c.id,
    sa.and_(firmware_updates.c.finished_at.is_not(None), firmware_updates.c.due_at.is_(None)),
)
OF_DEAD_LETTERS = Which(dead_letters, dead_letters.c.id, sa.true())


def crowded(connection: Connection, which: Which, most: int) -> list[tuple[int | None, int]]:
    """Devices with more rows than ``most``, and their number of rows. Rows that belong to no
    device count as one device's."""
    device = which.table.c.device_id
    count = sa.func.count()
    rows = connection.execute(
        sa.select(device, count).where(which.condition).group_by(device).having(count > most)
    )
    return [(row[0], row[1]) for row in rows]


def delete_oldest(connection: Connection, which: Which, device: int | None, limit: int) -> int:
    """A device's oldest rows; how many there were."""
    column = which.table.c.device_id
    mine = column.is_(None) if device is None else column == device
    primary = next(iter(which.table.primary_key))
    some = sa.select(primary).where(mine, which.condition).order_by(which.key).limit(limit)
    return connection.execute(sa.delete(which.table).where(primary.in_(some))).rowcount


def dead_letter_bytes(
    connection: Connection, kept: int
) -> tuple[int, tuple[int | None, int] | None]:
    """Bytes of payload that all dead letters hold, and the device with most of them and its
    number of rows.

    Args:
        kept: bytes kept of one payload at most.
    """
    size = dead_letters.c.size
    held = sa.func.coalesce(sa.func.sum(sa.case((size < kept, size), else_=kept)), 0)
    rows = connection.execute(
        sa.select(dead_letters.c.device_id, held, sa.func.count()).group_by(
            dead_letters.c.device_id
        )
    ).all()
    if not rows:
        return 0, None
    largest = max(rows, key=lambda row: row[1])
    return int(sum(row[1] for row in rows)), (largest[0], largest[2])


class Largest(NamedTuple):
    """A device with many bytes in dead letters, and how many it has. ``None``: no device."""

    device: int | None
    rows: int


def largest_of(connection: Connection, tenant: str, limit: int) -> list[Largest]:
    """Among the dead letters of one tenant: the device with most bytes, and those with more than
    half as many, which come next when it has lost half of its own."""
    d = dead_letters.c
    size = sa.func.sum(sa.func.length(d.payload))
    rows = connection.execute(
        sa.select(d.device_id, sa.func.count(), size)
        .where(d.tenant == tenant)
        .group_by(d.device_id)
        .order_by(size.desc())
        .limit(limit)
    ).all()
    return [Largest(row[0], row[1]) for row in rows if row is rows[0] or row[2] * 2 > rows[0][2]]


def delete_oldest_letters(
    connection: Connection, tenant: str, device: int | None, limit: int
) -> tuple[int, int]:
    """The oldest dead letters of a tenant and device: how many, and their bytes of payload."""
    d = dead_letters.c
    mine = d.device_id.is_(None) if device is None else d.device_id == device
    some = sa.select(d.id).where(d.tenant == tenant, mine).order_by(d.id).limit(limit)
    sizes = connection.execute(
        sa.delete(dead_letters).where(d.id.in_(some)).returning(sa.func.length(d.payload))
    ).scalars()
    found = list(sizes)
    return len(found), sum(found)


# ---------------------------------------------------------------------- removed devices


def delete_silent_removed(connection: Connection, after: int, limit: int) -> tuple[int, int]:
    """Looks at the next removed devices: those of which there are no messages are forgotten.

    Returns:
        The last one looked at (0: that was all), and how many were forgotten.
    """
    number = removed_devices.c.device_id
    seen = (
        connection.execute(sa.select(number).where(number > after).order_by(number).limit(limit))
        .scalars()
        .all()
    )
    if not seen:
        return 0, 0
    gone = connection.execute(
        sa.delete(removed_devices).where(
            number.between(seen[0], seen[-1]),
            ~sa.exists(sa.select(1).where(messages.c.device_id == number)),
        )
    ).rowcount
    return seen[-1], gone


OF_DEVICES = (sequences, device_state, latest, metrics_refused, device_metrics)


def orphans(
    connection: Connection, table: sa.Table, after: int, limit: int
) -> tuple[Sequence[int], list[int]]:
    """The next device numbers in a table, and those of them that no longer belong to a device."""
    column = table.c.device_id
    seen = (
        connection.execute(
            sa.select(column).where(column > after).distinct().order_by(column).limit(limit)
        )
        .scalars()
        .all()
    )
    if not seen:
        return [], []
    there = set(
        connection.execute(
            sa.select(devices.c.id).where(devices.c.id.between(seen[0], seen[-1]))
        ).scalars()
    )
    gone = [number for number in seen if number not in there]
    if table is device_metrics:  # charts of what is kept still need them
        gone = [number for number in gone if not _has_rollups(connection, number)]
    return seen, gone


def _has_rollups(connection: Connection, device: int) -> bool:
    statement = sa.select(1).where(rollups.c.device_id == device).limit(1)
    return connection.execute(statement).first() is not None


def delete_orphans(connection: Connection, table: sa.Table, numbers: Sequence[int]) -> int:
    """Rows of these devices, unless they exist by now."""
    gone = 0
    for number in numbers:
        gone += connection.execute(
            sa.delete(table).where(
                table.c.device_id == number,
                ~sa.exists(sa.select(1).where(devices.c.id == number)),
            )
        ).rowcount
    return gone


def delete_orphaned_sightings(connection: Connection, after: str, limit: int) -> tuple[str, int]:
    """Looks at the next usernames.

    Returns:
        The last one looked at (empty: that was all), and how many rows of removed devices were
        deleted.
    """
    name = sightings.c.username
    seen = (
        connection.execute(sa.select(name).where(name > after).order_by(name).limit(limit))
        .scalars()
        .all()
    )
    if not seen:
        return "", 0
    gone = connection.execute(
        sa.delete(sightings).where(
            name.between(seen[0], seen[-1]),
            ~sa.exists(sa.select(1).where(devices.c.username == name)),
        )
    ).rowcount
    return seen[-1], gone


def delete_unused_metrics(connection: Connection, after: int, limit: int) -> tuple[int, int]:
    """Looks at the next names.

    Returns:
        The number of the last name looked at (0: that was all), and how many were deleted.
    """
    seen = (
        connection.execute(
            sa.select(metrics.c.id).where(metrics.c.id > after).order_by(metrics.c.id).limit(limit)
        )
        .scalars()
        .all()
    )
    if not seen:
        return 0, 0
    gone = connection.execute(
        sa.delete(metrics).where(
            metrics.c.id.between(seen[0], seen[-1]),
            ~sa.exists(sa.select(1).where(device_metrics.c.metric_id == metrics.c.id)),
        )
    ).rowcount
    return (seen[-1] if len(seen) == limit else 0), gone
