"""Bringing a database to the schema this version needs (Alembic)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mooring.errors import Conflict
from mooring.store.engine import Database

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where it migrates: it takes a third of a second, and every command asks
# whether the schema is current.

__all__ = ["Step", "newest", "pending", "require_current", "revision", "script_config", "upgrade"]


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
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return steps


def require_current(database: Database) -> None:
    """Raises ``Conflict`` when migrations are pending: for processes that must not run them."""
    if pending(database):
        raise Conflict(
            "The database has an older schema than this version needs.",
            hint="Run `mooring db migrate`, or start with `mooring up`, which does it.",
            code="database_too_old",
        )
