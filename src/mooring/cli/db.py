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

app = noun("The database: its schema, and moving to another one.")

_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@|[?&]password=")


@command(app, "migrate")
def migrate(session: Session) -> None:
    """Make the database, or bring it to the schema this version needs."""
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
    """Say whether migrations are pending; exit code 1 when they are."""
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
        session.out.say(f"The database is at revision {now}, as this version needs it.")
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
    """Move everything from SQLite to PostgreSQL; stop `mooring up` first.

    A URL with a password goes into the variable MOORING_COPY_TO, or the password into
    ~/.pgpass: what stands on a command line can be read by others.
    """

    settings, _ = session.settings()
    if is_on_disk(settings) and not settings.sqlite_path.exists():
        raise NotFound(
            f"There is no Mooring in {settings.data_dir} to copy.",
            hint="Say where it is: --data-dir or MOORING_DATA_DIR.",
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
        "Both databases hold the same. Now set MOORING_DATABASE_URL (or database_url in "
        "mooring.toml) to the new one, start `mooring up`, and put mooring.db away."
    )


def _target(to: str | None) -> str:
    """The URL to copy to, from the command line or the environment."""
    if to is None:
        to = os.environ.get("MOORING_COPY_TO", "")
        if not to:
            raise Invalid(
                "It was not said where to copy to.",
                hint="Give --to postgresql://user@host/name, or set MOORING_COPY_TO.",
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
    """The database; with ``make`` off an empty one stands for a file that is not there."""
    settings, _ = session.settings()
    missing = is_on_disk(settings) and not settings.sqlite_path.exists()
    url = "sqlite://" if missing and not make else settings.effective_database_url
    database = engine.open_database(url)
    try:
        yield database
    finally:
        database.close()
