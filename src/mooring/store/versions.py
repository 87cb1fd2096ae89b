"""Numbers that grow when a kind of thing has changed: what caches of every process look at."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.schema import versions

__all__ = ["bump", "version"]

_BUMP = (
    sa.update(versions)
    .where(versions.c.name == sa.bindparam("which"))
    .values(value=versions.c.value + 1)
)


def bump(connection: Connection, name: str) -> None:
    """Tells caches in every process that a kind of thing has changed."""
    updated = connection.execute(_BUMP, {"which": name})
    if updated.rowcount == 0:
        connection.execute(sa.insert(versions).values(name=name, value=1))


def version(connection: Connection, name: str) -> int:
    found = connection.execute(sa.select(versions.c.value).where(versions.c.name == name)).scalar()
    return int(found or 0)
