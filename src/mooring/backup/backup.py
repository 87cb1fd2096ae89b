"""One installation in one file: database, broker files, CA, secrets, dialects, artifacts.

A backup is made while everything runs: the database by SQLite's own online copy, everything
else as the files are, each of which is replaced in one step by the part that writes it. The
copy of the database is opened and counted before it is packed.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from mooring.backup import archive as form
from mooring.errors import Conflict, NotFound, Unavailable
from mooring.settings import Settings
from mooring.store.urls import sqlite_file

__all__ = ["KEPT_PREFIX", "LEFT_OUT", "STAGE_PREFIX", "Saved", "make_backup"]

KEPT_PREFIX = "replaced-"
STAGE_PREFIX = ".restore-"
LEFT_OUT = ("logs", "up.lock", "running.json", ".secrets.lock", "mosquitto.pid", "mosquitto.out")
_LEFT_OUT_PREFIXES = (form.DATABASE, KEPT_PREFIX, STAGE_PREFIX, "rehearsal-")
_LINKED = "dialects"  # the one folder that may be a link to another place
PAGES = 2_000  # of the database, copied at once

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup holds.

    Attributes:
        size: bytes, packed.
        database: false where the database is PostgreSQL, which is not in the backup.
        devices, messages: rows counted in the copy of the database.
    """

    file: Path
    files: int
    size: int
    database: bool
    devices: int = 0
    messages: int = 0


def make_backup(settings: Settings, target: Path, told: Progress = lambda _percent: None) -> Saved:
    """Writes a backup, for its owner only.

    Args:
        told: called with how much of the database is copied, in percent.

    Raises:
        Conflict: the file exists.
        NotFound: there is nothing to back up.
        Unavailable: it cannot be written, or the database cannot be read.
    """
    if os.path.lexists(target):
        raise _exists(target)
    if not settings.data_dir.is_dir():
        raise NotFound(
            f"No Mooring installation was found in {settings.data_dir}.", code="not_set_up"
        )
    part: Path | None = None
    try:
        # A name nobody can guess, made by this process alone: the folder may be shared.
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        part = Path(name)
        with os.fdopen(descriptor, "wb") as raw:
            files, counted = _pack(settings, raw, told)
            raw.flush()
            os.fsync(raw.fileno())
        _publish(part, target)
    except (OSError, sqlite3.Error) as exc:
        raise Unavailable(
            f"The backup {target} cannot be written: {exc}.",
            hint="Check the path and the space on its disk.",
        ) from exc
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    size = target.stat().st_size
    if counted is None:
        return Saved(target, files, size, database=False)
    return Saved(target, files, size, True, *counted)


def _exists(target: Path) -> Conflict:
    return Conflict(f"{target} exists.", hint="Name another file.", code="file_exists")


def _publish(part: Path, target: Path) -> None:
    """Gives the finished file its name, unless something has that name by now."""
    try:
        os.link(part, target, follow_symlinks=False)
    except FileExistsError as exc:
        raise _exists(target) from exc
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise _exists(target) from None
        part.rename(target)


Counted = tuple[int, int] | None  # devices, messages


def _pack(settings: Settings, raw: IO[bytes], told: Progress) -> tuple[int, Counted]:
    sums: dict[str, str] = {}
    counted: Counted = None
    with form.writing(raw) as archive:
        source = sqlite_file(settings.effective_database_url)
        if source is not None and source.exists():
            with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=STAGE_PREFIX) as folder:
                copy = Path(folder) / form.DATABASE
                _copy_database(source, copy, told)
                counted = _counted(copy)
                sums[form.DATABASE] = form.add_file(archive, form.DATABASE, copy)
        for path, name in _files(settings.data_dir, settings.data_dir):
            with suppress(FileNotFoundError):  # gone since it was listed
                sums[name] = form.add(archive, name, path.read_bytes())
        form.add(archive, form.MANIFEST, form.manifest_bytes(sums))
    return len(sums), counted


def _files(folder: Path, top: Path) -> Iterator[tuple[Path, str]]:
    """Each file with its name in the backup."""
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT or path.name.startswith(_LEFT_OUT_PREFIXES):
            continue
        linked = path.is_symlink() and path.parent == top and path.name == _LINKED
        if path.is_dir() and (linked or not path.is_symlink()):
            yield from _files(path, top)
        elif path.is_file() and not _is_backup(path):
            yield path, path.relative_to(top).as_posix()


def _is_backup(path: Path) -> bool:
    """Earlier backups and one that is being written: a backup does not contain others."""
    try:
        return form.is_backup(path)
    except OSError:
        return False


def _copy_database(source: Path, target: Path, told: Progress) -> None:
    """SQLite's online copy: consistent, while others write."""
    with (
        closing(sqlite3.connect(f"file:{quote(str(source.absolute()))}?mode=ro", uri=True)) as here,
        closing(sqlite3.connect(target)) as there,
    ):
        # One snapshot for the whole copy: without it the copy begins again with each commit of
        # another process, and a busy database is never copied to the end.
        here.execute("BEGIN")
        here.execute("SELECT count(*) FROM sqlite_master").fetchone()
        here.backup(
            there,
            pages=PAGES,
            progress=lambda _s, remaining, total: told(100 * (total - remaining) // max(total, 1)),
            sleep=0,
        )


def _counted(copy: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(copy)) as database:
        devices, messages = (
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
            for table in ("devices", "messages")
        )
    return devices, messages
