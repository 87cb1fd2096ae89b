"""Numbers that grow when a kind of thing has changed: what caches of every process look at."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.engine import Database
from mooring.store.schema import versions

__all__ = ["bump", "stored", "version"]

_BUMP = (
    sa.update(versions)
    .where(versions.c.name == sa.bindparam("which"))
    .values(value=versions.c.value + 1)
    .returning(versions.c.value)
)
_VERSION = sa.select(versions.c.value).where(versions.c.name == sa.bindparam("which"))


def bump(connection: Connection, name: str) -> int:
    """Tells caches in every process that a kind of thing has changed; the new version, whose
    row is locked until the transaction ends."""
    value = connection.execute(_BUMP, {"which": name}).scalar()
    if value is None:
        value = 1
        connection.execute(sa.insert(versions).values(name=name, value=value))
    return int(value)


def version(connection: Connection, name: str) -> int:
    return int(connection.execute(_VERSION, {"which": name}).scalar() or 0)


def stored(database: Database, name: str) -> Callable[[], int]:
    """Asks the database for the version of a kind of thing, each time it is called."""

    def ask() -> int:
        with database.read() as connection:
            return version(connection, name)

    return ask
