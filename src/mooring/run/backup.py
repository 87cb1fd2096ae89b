"""One installation in one file: database, broker files, CA, secrets, dialects, artifacts.

A backup is made while everything runs: the database by SQLite's own online copy, everything
else as the files stand, each of which is replaced in one step by whoever writes it. A restore
unpacks beside what is there, checks every file, and only then moves it into place; what was
there before is kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mooring import __version__, running
from mooring.errors import Conflict, Invalid, NotFound, Unavailable
from mooring.settings import Settings
from mooring.store import migrate
from mooring.store.engine import open_database

__all__ = ["Restored", "Saved", "make_backup", "restore_backup"]

MANIFEST = "manifest.json"
FORMAT = 1
DATABASE = "mooring.db"
KEPT_PREFIX = "replaced-"

_LEFT_OUT = ("logs", "up.lock", "running.json", ".secrets.lock", "mosquitto.pid", "mosquitto.out")
_LEFT_OUT_PREFIXES = (DATABASE, KEPT_PREFIX, ".restore-", "rehearsal-")


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup holds. ``database`` is false where it is not in our keeping."""

    file: Path
    files: int
    size: int  # bytes, packed
    database: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore put in place, and where what was there before is now."""

    files: int
    made_at: str
    made_by: str
    database: bool
    kept: Path | None


def make_backup(settings: Settings, target: Path) -> Saved:
    """Writes a backup, for its owner only.

    Raises:
        Conflict: the file exists.
        NotFound: there is nothing to back up.
        Unavailable: it cannot be written.
    """
    if target.exists():
        raise Conflict(f"{target} exists.", hint="Name another file.", code="file_exists")
    if not settings.data_dir.is_dir():
        raise NotFound(f"There is no Mooring in {settings.data_dir}.", code="not_set_up")
    ours = settings.sqlite_path.exists() and _is_ours(settings)
    part = target.with_name(f".{target.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            sums = _pack(settings, raw, database=ours)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(target)
    except (OSError, sqlite3.Error) as exc:
        part.unlink(missing_ok=True)
        raise Unavailable(
            f"The backup {target} cannot be written: {exc}.",
            hint="Check the path and the space on its disk.",
        ) from exc
    return Saved(target, len(sums), target.stat().st_size, ours)


def restore_backup(settings: Settings, source: Path) -> Restored:
    """Puts a backup in the place of what is in the data directory.

    Raises:
        Conflict: the platform runs, or the backup comes from a newer version.
        NotFound, Invalid: there is no such file, or it is no sound backup; nothing is changed.
        Unavailable: the data directory cannot be written.
    """
    if not source.is_file():
        raise NotFound(f"There is no file {source}.", code="no_file")
    with running.exclusive(settings.data_dir):
        stage = Path(tempfile.mkdtemp(prefix=".restore-", dir=settings.data_dir))
        try:
            manifest = _unpack(source, stage)
            _check_database(stage)
            kept = _swap(settings.data_dir, stage)
        except OSError as exc:
            raise Unavailable(
                f"{settings.data_dir} cannot be written: {exc}.",
                hint=f"What was there is in it or in its {KEPT_PREFIX}… folder.",
            ) from exc
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return Restored(
        len(manifest["files"]),
        str(manifest["made_at"]),
        str(manifest["version"]),
        DATABASE in manifest["files"],
        kept,
    )


# ---------------------------------------------------------------------- packing


def _is_ours(settings: Settings) -> bool:
    return settings.effective_database_url.startswith("sqlite:")


def _pack(settings: Settings, raw: Any, *, database: bool) -> dict[str, str]:
    sums: dict[str, str] = {}
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as archive:
        if database:
            with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=".restore-") as folder:
                copy = Path(folder) / DATABASE
                _copy_database(settings.sqlite_path, copy)
                sums[DATABASE] = _sum(copy)
                archive.add(copy, DATABASE, filter=_private)
        for path in _files(settings.data_dir):
            name = path.relative_to(settings.data_dir).as_posix()
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # gone since it was listed
                continue
            sums[name] = hashlib.sha256(content).hexdigest()
            _add(archive, name, content)
        manifest = {
            "format": FORMAT,
            "version": __version__,
            "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "files": sums,
        }
        _add(archive, MANIFEST, json.dumps(manifest, indent=1).encode())
    return sums


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _LEFT_OUT or path.name.startswith(_LEFT_OUT_PREFIXES):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.is_file():
            yield path


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's online copy: consistent, and others go on writing meanwhile."""
    with (
        closing(sqlite3.connect(f"file:{source.absolute()}?mode=ro", uri=True)) as here,
        closing(sqlite3.connect(target)) as there,
    ):
        here.backup(there)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mtime = int(time.time())
    archive.addfile(_private(member), io.BytesIO(content))


def _private(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode, member.uid, member.gid, member.uname, member.gname = 0o600, 0, 0, "", ""
    return member


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------------- restoring


def _unpack(source: Path, stage: Path) -> Mapping[str, Any]:
    """Everything in the stage, each file as the manifest says."""
    try:
        with tarfile.open(source, mode="r:gz") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if not member.isfile() or name.is_absolute() or ".." in name.parts:
                    raise Invalid(f"The backup holds {member.name!a}, which is no file of ours.")
                archive.extract(member, stage, filter="data")
    except (tarfile.TarError, EOFError, OSError) as exc:
        raise Invalid(
            f"{source} is no backup, or is damaged: {exc}.",
            hint="Use a file that `mooring backup` wrote.",
            code="bad_backup",
        ) from exc
    try:
        manifest = json.loads((stage / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
        known = int(manifest["format"]) <= FORMAT
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise Invalid(f"{source} is no backup of Mooring.", code="bad_backup") from exc
    if not known:
        raise Conflict(
            f"{source} was made by Mooring {manifest.get('version')}, which is newer.",
            hint="Restore it with that version.",
            code="backup_too_new",
        )
    for name, wanted in files.items():
        path = stage / name
        if not path.is_file() or _sum(path) != wanted:
            raise Invalid(f"{name} in the backup {source} is damaged.", code="bad_backup")
    (stage / MANIFEST).unlink()
    return dict(manifest)


def _check_database(stage: Path) -> None:
    path = stage / DATABASE
    if not path.exists():
        return
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("PRAGMA quick_check").fetchone()[0]
    if found != "ok":
        raise Invalid(f"The database in the backup is damaged: {found}.", code="bad_backup")
    opened = open_database(f"sqlite:///{path}")
    try:
        migrate.pending(opened)  # refuses one from a newer version
    finally:
        opened.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _swap(data_dir: Path, stage: Path) -> Path | None:
    """Moves what is there aside and the stage's content in."""
    kept = data_dir / f"{KEPT_PREFIX}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    here = [
        path
        for path in data_dir.iterdir()
        if path.name not in _LEFT_OUT
        and path != stage
        and not path.name.startswith((KEPT_PREFIX, ".restore-"))
    ]
    if here:
        kept.mkdir(mode=0o700)
        for path in here:
            path.rename(kept / path.name)
    for path in list(stage.iterdir()):
        path.rename(data_dir / path.name)
    return kept if here else None
