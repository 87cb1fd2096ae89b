"""Bringing a database to the schema this version needs (Alembic)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mooring.errors import Conflict
from mooring.store.engine import Database

__all__ = ["Step", "pending", "require_current", "revision", "script_config", "upgrade"]


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: its number and what it does."""

    revision: str
    title: str


def script_config() -> Config:
    """Alembic's configuration for the migrations in this package."""
    config = Config()
    config.set_main_option("script_location", str(files("mooring.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def revision(database: Database) -> str | None:
    """The revision the database is at; ``None`` for an empty one."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def pending(database: Database) -> list[Step]:
    """The migrations still to run, oldest first.

    Raises:
        Conflict: the database comes from a newer version of Mooring.
    """
    current = revision(database)
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
