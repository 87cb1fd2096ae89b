"""SQL of the versions of firmware that devices have reported, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.given import given, parameter
from mooring.store.schema import devices, firmware_changes

__all__ = ["VERSIONS_MAX", "VersionSeen", "add_versions", "versions_of"]

VERSIONS_MAX = 50
"""Changes of firmware of one device that are kept; the oldest are deleted."""

_C = firmware_changes.c
_COLUMNS = ("device_id", "at", "version")


class VersionSeen(NamedTuple):
    """A device reports a version that it did not report before. ``at``: epoch milliseconds, its
    own time where it has one."""

    at: int
    version: str


def add_versions(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> None:
    """Adds changes (device, time, version), in two statements for any number of them."""
    some = given(connection.dialect.name, {name: _C[name].type for name in _COLUMNS})
    there = sa.select(some).where(sa.exists().where(devices.c.id == some.c.device_id))
    statement = sa.insert(firmware_changes).from_select(list(_COLUMNS), there)
    connection.execute(statement, parameter(rows))
    newer = firmware_changes.alias()
    later = sa.or_(newer.c.at > _C.at, sa.and_(newer.c.at == _C.at, newer.c.id > _C.id))
    number: Any = (
        sa.select(sa.func.count())
        .select_from(newer)
        .where(newer.c.device_id == _C.device_id, later)
        .scalar_subquery()
    )
    which = sa.select(some.c.device_id)
    connection.execute(
        sa.delete(firmware_changes).where(_C.device_id.in_(which), number >= VERSIONS_MAX),
        parameter(rows),
    )


def versions_of(connection: Connection, number: int) -> list[VersionSeen]:
    """The oldest first."""
    statement = sa.select(_C.at, _C.version).where(_C.device_id == number)
    return [VersionSeen(*row) for row in connection.execute(statement.order_by(_C.at, _C.id))]
