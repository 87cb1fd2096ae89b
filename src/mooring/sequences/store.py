"""SQL of the gap ledger for those who read it: the re-request, the command line, REST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.sequences.numbers import Numbers, unpack_ranges
from mooring.store.schema import devices, sequences

__all__ = ["DeviceNumbers", "asked", "numbers_of", "numbers_of_many", "overdue", "with_gaps"]


@dataclass(frozen=True, slots=True)
class DeviceNumbers:
    """One device's numbers and since when something is missing (epoch milliseconds)."""

    device_id: int
    tenant: str
    name: str
    numbers: Numbers
    gap_since: int | None
    asked_at: int | None


_ROWS = sa.select(
    sequences.c.device_id,
    devices.c.tenant,
    devices.c.name,
    sequences.c.upto,
    sequences.c.above,
    sequences.c.lost,
    sequences.c.gap_since,
    sequences.c.asked_at,
).join(devices, devices.c.id == sequences.c.device_id)


def _read(connection: Connection, statement: sa.Select[Any]) -> list[DeviceNumbers]:
    return [
        DeviceNumbers(
            row[0], row[1], row[2], Numbers(row[3], unpack_ranges(row[4]), row[5]), row[6], row[7]
        )
        for row in connection.execute(statement)
    ]


def numbers_of(connection: Connection, device_id: int) -> DeviceNumbers | None:
    """What is known of one device; ``None`` when it has never sent a number."""
    found = _read(connection, _ROWS.where(sequences.c.device_id == device_id))
    return found[0] if found else None


def numbers_of_many(connection: Connection, device_ids: Sequence[int]) -> dict[int, Numbers]:
    """What is known of several devices; those that have never sent a number are left out."""
    found = _read(connection, _ROWS.where(sequences.c.device_id.in_(device_ids)))
    return {one.device_id: one.numbers for one in found}


def with_gaps(
    connection: Connection, actor: Actor, *, limit: int, after: int = 0
) -> list[DeviceNumbers]:
    """Devices of which something is missing, by number."""
    statement = (
        _ROWS.where(sequences.c.gap_since.is_not(None), sequences.c.device_id > after)
        .order_by(sequences.c.device_id)
        .limit(limit)
    )
    return _read(connection, walled(statement, devices.c.tenant, actor))


def overdue(
    connection: Connection, *, missing_since: int, asked_before: int, limit: int
) -> list[DeviceNumbers]:
    """Whose gaps have stood since before a time, and who were not asked lately."""
    statement = (
        _ROWS.where(
            sequences.c.gap_since <= missing_since,
            sa.or_(sequences.c.asked_at.is_(None), sequences.c.asked_at <= asked_before),
        )
        .order_by(sequences.c.gap_since)
        .limit(limit)
    )
    return _read(connection, statement)


def asked(connection: Connection, device_ids: list[int], at: int) -> None:
    connection.execute(
        sa.update(sequences).where(sequences.c.device_id.in_(device_ids)).values(asked_at=at)
    )
