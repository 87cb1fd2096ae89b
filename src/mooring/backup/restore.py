"""Puts a backup in the place of an installation.

The archive is read to its end and compared with its manifest before anything is unpacked; it
is unpacked next to what is there, the database is opened and checked, and only then are the
files moved into place. What was there before is kept.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mooring import running
from mooring.backup import archive as form
from mooring.backup.backup import KEPT_PREFIX, LEFT_OUT, STAGE_PREFIX
from mooring.errors import Invalid, NotFound, Unavailable
from mooring.settings import Settings
from mooring.store import migrate
from mooring.store.engine import open_database
from mooring.store.urls import sqlite_file

__all__ = ["Restored", "restore_backup"]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore put in place. ``kept``: where what was there before is now."""

    files: int
    made_at: str
    made_by: str
    database: bool
    kept: Path | None


def restore_backup(settings: Settings, source: Path) -> Restored:
    """Puts a backup in the place of what is in the data directory.

    Raises:
        Conflict: the platform runs, or the backup comes from a newer version.
        NotFound, Invalid: there is no such file, or it is not a sound backup; nothing is
            changed.
        Unavailable: the data directory cannot be written.
    """
    if not source.is_file():
        raise NotFound(f"The file {source} does not exist.", code="no_file")
    with running.exclusive(settings.data_dir):
        try:
            manifest = form.inspect(source, shutil.disk_usage(settings.data_dir).free)
            stage = Path(tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=settings.data_dir))
            try:
                form.extract(source, stage)
                _check_database(stage / form.DATABASE)
                kept = _swap(settings, stage)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
        except OSError as exc:
            raise Unavailable(
                f"{settings.data_dir} cannot be written: {exc}.",
                hint=f"The previous contents are in it or in its {KEPT_PREFIX}… folder.",
            ) from exc
    return Restored(
        len(manifest.files),
        manifest.made_at,
        manifest.version,
        form.DATABASE in manifest.files,
        kept,
    )


def _check_database(path: Path) -> None:
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as database:
            found = database.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as exc:
        found = str(exc)
    if found != "ok":
        raise Invalid(f"The database in the backup is damaged: {found}.", code="bad_backup")
    opened = open_database(f"sqlite:///{quote(str(path))}")
    try:
        migrate.pending(opened)  # rejects one from a newer version
    finally:
        opened.close()
    _drop_logs(path)


def _drop_logs(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _swap(settings: Settings, stage: Path) -> Path | None:
    """Moves what is there aside and the stage's content in."""
    data_dir = settings.data_dir
    kept = data_dir / f"{KEPT_PREFIX}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    here = [
        path
        for path in data_dir.iterdir()
        if path.name not in LEFT_OUT
        and path != stage
        and not path.name.startswith((KEPT_PREFIX, STAGE_PREFIX))
    ]
    database = sqlite_file(settings.effective_database_url)
    restored = stage / form.DATABASE
    if database is not None and database.parent.resolve() == data_dir.resolve():
        database = None if database.name == form.DATABASE else database
    elsewhere = database is not None and restored.exists()
    if here or (elsewhere and database is not None and database.exists()):
        kept.mkdir(mode=0o700)
        for path in here:
            path.rename(kept / path.name)
    if elsewhere and database is not None:
        # The database has a place of its own.
        if database.exists():
            shutil.move(database, kept / database.name)
            _drop_logs(database)
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.move(restored, database)
    for path in list(stage.iterdir()):
        path.rename(data_dir / path.name)
    return kept if kept.exists() else None
