"""``mooring backup`` and ``mooring restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mooring.cli.frame import Session, command, verbs
from mooring.cli.words import Yes
from mooring.later import later

with later():
    from mooring.run import backup as run_backup
    from mooring.run import restore as run_restore

__all__ = ["app", "declare"]


def backup(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write (0600).")],
) -> None:
    """Write database, broker files, CA, secrets and dialects into one file, while all runs."""
    settings, _ = session.settings()
    with session.out.progress("copying the database, percent", 100) as progress:
        saved = run_backup.make_backup(settings, file, progress)
    if session.out.as_json:
        session.out.document(
            {
                "file": str(saved.file),
                "files": saved.files,
                "bytes": saved.size,
                "database": saved.database,
                "devices": saved.devices,
                "messages": saved.messages,
            }
        )
        return
    session.out.say(f"{saved.files} files are in {saved.file} ({saved.size} bytes).")
    if saved.database:
        session.out.say(
            f"The database in it was opened and checked: {saved.devices} devices, "
            f"{saved.messages} messages."
        )
    session.out.note("It holds every secret of this installation: keep it as you keep keys.")
    if not saved.database:
        session.out.note("The database is not in it: back it up with pg_dump.")


def restore(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `mooring backup` wrote.")],
    *,
    yes: Yes = False,
) -> int | None:
    """Put a backup in the place of what is in the data directory; nothing may run there."""
    settings, _ = session.settings()
    if not session.confirm(f"Replace what is in {settings.data_dir}?", yes=yes):
        session.out.note("Nothing was changed.")
        return 1
    restored = run_restore.restore_backup(settings, file)
    if session.out.as_json:
        session.out.document(
            {
                "files": restored.files,
                "made_at": restored.made_at,
                "made_by": restored.made_by,
                "database": restored.database,
                "kept": None if restored.kept is None else str(restored.kept),
            }
        )
        return None
    session.out.say(f"{restored.files} files of {restored.made_at} are back. Start: mooring up")
    if restored.kept is not None:
        session.out.note(f"What was there before is in {restored.kept}.")
    if not restored.database:
        session.out.note("The database was not in it: bring it back with pg_restore.")
    return None


def declare(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, "backup")(backup)
    command(app, "restore")(restore)


app = verbs()
declare(app)
