"""``mooring db``: the database's schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mooring.cli.frame import Session, command, is_on_disk, noun

if TYPE_CHECKING:
    from mooring.store.engine import Database

__all__ = ["app"]

app = noun("The database's schema.")


@command(app, "migrate")
def migrate(session: Session) -> None:
    """Make the database, or bring it to the schema this version needs."""
    from mooring.access.instance import open_instance  # noqa: PLC0415 - start-up time
    from mooring.store import migrate as migrations  # noqa: PLC0415

    settings, _ = session.settings()
    open_instance(settings.data_dir)  # makes the directory, for its owner only
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
    from mooring.store import migrate as migrations  # noqa: PLC0415 - start-up time

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


@contextmanager
def _database(session: Session, *, make: bool = True) -> Iterator[Database]:
    """The database; with ``make`` off an empty one stands for a file that is not there."""
    from mooring.store.engine import open_database  # noqa: PLC0415 - start-up time

    settings, _ = session.settings()
    missing = is_on_disk(settings) and not settings.sqlite_path.exists()
    url = "sqlite://" if missing and not make else settings.effective_database_url
    database = open_database(url)
    try:
        yield database
    finally:
        database.close()
