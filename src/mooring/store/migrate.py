"""Bringing a database to the schema this version needs (Alembic)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mooring.errors import Conflict, InvalidSetting
from mooring.store.engine import Database, unhurried
from mooring.store.partitions import is_partition
from mooring.store.schema import declared_for

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.schema import SchemaItem

# Alembic is imported where it migrates: it takes a third of a second, and every command asks
# whether the schema is current.

__all__ = [
    "Step",
    "belongs",
    "newest",
    "pending",
    "require_current",
    "revision",
    "script_config",
    "upgrade",
]


OLDEST_POSTGRESQL = 14


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: its number and what it does."""

    revision: str
    title: str


def script_config() -> Config:
    """Alembic's configuration for the migrations in this package."""
    from alembic.config import Config  # noqa: PLC0415 - start-up time, see above

    config = Config()
    config.set_main_option("script_location", str(files("mooring.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def belongs(engine: str) -> Callable[..., bool]:
    """For Alembic: what to compare on this engine, and what to leave alone."""

    def include(item: SchemaItem, name: str, _kind: str, reflected: bool, _other: object) -> bool:
        if reflected:
            table = item.table if isinstance(item, sa.Index) else item
            return not is_partition(getattr(table, "name", name))
        return declared_for(item, engine)

    return include


def revision(database: Database) -> str | None:
    """The revision the database is at; ``None`` for an empty one."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def newest() -> str:
    """The revision this version of Mooring needs: its migrations' file names begin with them."""
    versions = files("mooring.store") / "migrations" / "versions"
    return max(
        entry.name.partition("_")[0] for entry in versions.iterdir() if entry.name.endswith(".py")
    )


def pending(database: Database) -> list[Step]:
    """The migrations still to run, oldest first.

    Raises:
        Conflict: the database comes from a newer version of Mooring.
    """
    current = revision(database)
    if current == newest():
        return []
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - start-up time, see above

    script = ScriptDirectory.from_config(script_config())
    known = {step.revision for step in script.walk_revisions()}
    if current is not None and current not in known:
        raise Conflict(
            f"The database is at revision {current}, which this version does not know.",
            hint="Run the version of Mooring that last used it, or a newer one.",
            code="database_too_new",
        )
    steps = []
    for step in script.walk_revisions():
        if step.revision == current:
            break
        steps.append(Step(step.revision, step.doc))
    return steps[::-1]


def upgrade(database: Database) -> list[Step]:
    """Runs what is pending, in one transaction, and says what it ran."""
    steps = pending(database)
    if steps:
        from alembic import command  # noqa: PLC0415 - start-up time, see above

        config = script_config()
        with database.write() as connection:
            if not database.is_sqlite:
                _check_server(connection)
                unhurried(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return steps


def _check_server(connection: sa.Connection) -> None:
    number = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    if number < OLDEST_POSTGRESQL * 10_000:
        raise InvalidSetting(
            f"The PostgreSQL server has the version {number // 10_000}; Mooring needs "
            f"{OLDEST_POSTGRESQL} or newer.",
            hint="Upgrade the server, or set database_url to another one.",
        )
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise InvalidSetting(
            f"The database stores text as {encoding}, which cannot represent all messages of "
            f"devices.",
            hint="Create it anew: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.",
        )


def require_current(database: Database) -> None:
    """Raises ``Conflict`` when migrations are pending: for processes that must not run them."""
    if pending(database):
        raise Conflict(
            "The database has an older schema than this version needs.",
            hint="Run `mooring db migrate`, or start `mooring up`, which migrates it.",
            code="database_too_old",
        )
