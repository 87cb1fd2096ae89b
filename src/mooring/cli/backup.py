"""``mooring backup`` and ``mooring restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mooring.cli.frame import Session, command, verbs
from mooring.cli.words import Yes
from mooring.later import later

with later():
    from mooring.backup import backup as run_backup
    from mooring.backup import restore as run_restore

__all__ = ["app", "declare"]


def backup(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Output file (mode 0600).")],
) -> None:
    """Back up the installation to one file. It contains the database, broker files, CA, secrets "
    "and dialects, and can be written while Mooring runs."""
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
    session.out.say(f"Wrote {saved.files} files to {saved.file} ({saved.size} bytes).")
    if saved.database:
        session.out.say(
            f"The database copy was opened and checked: {saved.devices} devices, "
            f"{saved.messages} messages."
        )
    session.out.note(
        "It contains every secret of this installation. Protect it like a private key."
    )
    if not saved.database:
        session.out.note("It does not contain the PostgreSQL database. Back that up with pg_dump.")


def restore(
    session: Session,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file written by `mooring backup`.")
    ],
    *,
    yes: Yes = False,
) -> int | None:
    """Replace the contents of the data directory with a backup. Stop Mooring first."""
    settings, _ = session.settings()
    if not session.confirm(f"Replace the contents of {settings.data_dir}?", yes=yes):
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
    session.out.say(
        f"{restored.files} files from {restored.made_at} restored. Start Mooring with `mooring up`."
    )
    if restored.kept is not None:
        session.out.note(f"The previous contents are in {restored.kept}.")
    if not restored.database:
        session.out.note(
            "It does not contain the PostgreSQL database. Restore that with pg_restore."
        )
    return None


def declare(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, "backup")(backup)
    command(app, "restore")(restore)


app = verbs()
declare(app)
