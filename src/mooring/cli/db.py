"""``mooring db``: the database's schema."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, is_on_disk, noun
from mooring.errors import Invalid, NotFound
from mooring.later import later

with later():
    from mooring.secrets import instance
    from mooring.store import copy as store_copy
    from mooring.store import engine
    from mooring.store import migrate as migrations

if TYPE_CHECKING:
    from mooring.store.engine import Database

__all__ = ["app"]

app = noun("The database: its schema, and moving to PostgreSQL.")

_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@|[?&]password=")


@command(app, "migrate")
def migrate(session: Session) -> None:
    """Create the database, or migrate it to the schema of this version."""
    settings, _ = session.settings()
    instance.open_instance(settings.data_dir)  # makes the directory, for its owner only
    with _database(session) as database:
        steps = migrations.upgrade(database)
        now = migrations.revision(database)
    if session.out.as_json:
        session.out.document(
            {
                "revision": now,
                "applied": [{"revision": s.revision, "title": s.title} for s in steps],
            }
        )
        return
    for step in steps:
        session.out.say(f"{step.revision}  {step.title}")
    session.out.say(f"The database is at revision {now}.")


@command(app, "status")
def status(session: Session) -> int:
    """Show pending migrations. Exit code 1 if there are any."""
    with _database(session, make=False) as database:
        now, pending = migrations.revision(database), migrations.pending(database)
    if session.out.as_json:
        session.out.document(
            {
                "revision": now,
                "pending": [{"revision": s.revision, "title": s.title} for s in pending],
            }
        )
        return 1 if pending else 0
    if not pending:
        session.out.say(f"The database is at revision {now}, which is current.")
        return 0
    session.out.say(f"The database is at revision {now or 'none'}. Pending:")
    for step in pending:
        session.out.say(f"  {step.revision}  {step.title}")
    session.out.note("`mooring db migrate` runs them.")
    return 1


@command(app, "copy")
def copy(
    session: Session,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="URL of an empty PostgreSQL database, without a password.",
        ),
    ] = None,
) -> None:
    """Move all data from SQLite to PostgreSQL. Stop `mooring up` first. Put a URL with a password
    into the variable MOORING_COPY_TO, or the password into ~/.pgpass, because other users can read
    command lines.
    """

    settings, _ = session.settings()
    if is_on_disk(settings) and not settings.sqlite_path.exists():
        raise NotFound(
            f"No Mooring database was found in {settings.data_dir}.",
            hint="Set the directory with --data-dir or MOORING_DATA_DIR.",
            code="not_set_up",
        )
    with _database(session) as source:
        target = engine.open_database(_target(to))
        try:
            # Each row is written and then read back.
            with session.out.progress("Copying", 2 * store_copy.count_rows(source)) as report:
                copied = store_copy.copy_database(source, target, report)
        finally:
            target.close()
    if session.out.as_json:
        session.out.document(
            [{"table": c.table, "rows": c.rows, "checksum": f"{c.checksum:016x}"} for c in copied]
        )
        return
    session.out.table(
        ["table", "rows", "checksum"],
        [(c.table, c.rows, f"{c.checksum:016x}") for c in copied],
        right=["rows"],
    )
    session.out.note(
        "Both databases have the same contents. Now set MOORING_DATABASE_URL (or database_url in "
        "mooring.toml) to the new URL, start `mooring up`, and archive mooring.db."
    )


def _target(to: str | None) -> str:
    """The URL to copy to, from the command line or the environment."""
    if to is None:
        to = os.environ.get("MOORING_COPY_TO", "")
        if not to:
            raise Invalid(
                "No target database was given.",
                hint="Use --to postgresql://user@host/name, or set MOORING_COPY_TO.",
            )
    elif _PASSWORD.search(to):
        raise Invalid(
            "The URL holds a password, which others on this machine can read in the list of "
            "processes.",
            hint="Set MOORING_COPY_TO to the URL, or keep the password in ~/.pgpass.",
            code="password_on_command_line",
        )
    return to


@contextmanager
def _database(session: Session, *, make: bool = True) -> Iterator[Database]:
    """The database; without ``make``, a missing file is an empty database."""
    settings, _ = session.settings()
    missing = is_on_disk(settings) and not settings.sqlite_path.exists()
    url = "sqlite://" if missing and not make else settings.effective_database_url
    database = engine.open_database(url)
    try:
        yield database
    finally:
        database.close()
