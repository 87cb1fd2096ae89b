"""The form of a backup: a compressed tar archive with a manifest of names, sizes and sums."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mooring import __version__
from mooring.errors import Conflict, Invalid

__all__ = [
    "DATABASE",
    "FILES_MAX",
    "MANIFEST",
    "Manifest",
    "add",
    "add_file",
    "extract",
    "inspect",
    "is_backup",
    "manifest_bytes",
    "writing",
]

DATABASE = "mooring.db"
MANIFEST = "manifest.json"
FORMAT = 1
NAME = "mooring-backup"  # in the header of the gzip file; tells our backups from other files
FILES_MAX = 100_000  # files in a backup; one with more is rejected before it is unpacked
CHUNK = 1 << 20
_HEADER = b"\x1f\x8b\x08\x08"  # gzip, deflate, with a name


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. ``files``: name → SHA-256, hexadecimal."""

    version: str
    made_at: str
    files: Mapping[str, str]


# ---------------------------------------------------------------------- writing


@contextmanager
def writing(raw: IO[bytes]) -> Iterator[tarfile.TarFile]:
    """An archive that is written to an open file."""
    with (
        gzip.GzipFile(NAME, "wb", compresslevel=6, fileobj=raw) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        raw.flush()  # the mark is in the file before anything looks at it
        yield archive


def add(archive: tarfile.TarFile, name: str, content: bytes) -> str:
    """Adds a file; returns its sum."""
    archive.addfile(_member(name, len(content)), io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def add_file(archive: tarfile.TarFile, name: str, path: Path) -> str:
    """Adds a file that may be large; returns its sum. It must not change meanwhile."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        archive.addfile(_member(name, path.stat().st_size), file)
    return found


def manifest_bytes(files: Mapping[str, str]) -> bytes:
    content = {
        "format": FORMAT,
        "version": __version__,
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": dict(files),
    }
    return json.dumps(content, indent=1).encode()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(time.time()), 0o600
    return member


# ---------------------------------------------------------------------- reading


def is_backup(path: Path) -> bool:
    """Whether a file is one of our backups, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(10 + len(NAME) + 1)
    if start[:4] == _HEADER and start[10:] == NAME.encode() + b"\0":
        return True
    if start[:2] != _HEADER[:2]:
        return False
    try:  # one of version 0.1.0 carries no mark
        with tarfile.open(path, "r:gz") as archive:
            first = archive.next()
    except (tarfile.TarError, EOFError, zlib.error, OSError):
        return False
    return first is not None and first.name == DATABASE


def inspect(source: Path, room: int) -> Manifest:
    """Reads the whole archive without writing anything, and compares it with its manifest.

    Args:
        source: the file.
        room: bytes that may be unpacked.

    Raises:
        Invalid: ``bad_backup``: it is not a backup, is damaged, or holds more than fits.
        Conflict: ``backup_too_new``.
    """
    sums: dict[str, str] = {}
    manifest = b""
    total = 0
    with _reading(source) as members:
        for member, file in members:
            total += member.size
            if total > room or len(sums) >= FILES_MAX:
                raise Invalid(
                    f"{source} contains too much data: over {room:,} bytes or {FILES_MAX:,} files.",
                    hint="Free space on the disk of the data directory.",
                    code="bad_backup",
                )
            if member.name == MANIFEST:
                manifest = file.read(64 * CHUNK)
            else:
                sums[member.name] = _sum(file)
    found = _manifest(source, manifest)
    for name in sorted(set(found.files) | set(sums)):
        if sums.get(name) != found.files.get(name):
            raise Invalid(f"{name} in the backup {source} is damaged.", code="bad_backup")
    return found


def extract(source: Path, stage: Path) -> None:
    """Unpacks an inspected archive; every file and folder is for its owner only."""
    with _reading(source) as members:
        for member, file in members:
            if member.name == MANIFEST:
                continue
            path = stage / member.name
            for folder in reversed(path.relative_to(stage).parents):
                (stage / folder).mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600, exist_ok=False)
            with path.open("wb") as target:
                shutil.copyfileobj(file, target, CHUNK)


@contextmanager
def _reading(source: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """The archive's files in order; each can be read until the next one is asked for."""
    try:
        with tarfile.open(source, mode="r:gz") as archive:
            yield _members(archive)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise Invalid(
            f"{source} is not a backup, or is damaged: {exc}.",
            hint="Use a file written by `mooring backup`.",
            code="bad_backup",
        ) from exc


def _members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for member in archive:
        name = PurePosixPath(member.name)
        if not member.isfile() or name.is_absolute() or ".." in name.parts:
            raise Invalid(
                f"The backup contains {member.name!a}, which is not part of a backup.",
                code="bad_backup",
            )
        file = archive.extractfile(member)
        assert file is not None  # it is a file
        yield member, file


def _manifest(source: Path, text: bytes) -> Manifest:
    try:
        content: Any = json.loads(text)
        found = Manifest(str(content["version"]), str(content["made_at"]), dict(content["files"]))
        known = int(content["format"]) <= FORMAT
    except (ValueError, KeyError, TypeError) as exc:
        raise Invalid(f"{source} is not a backup of Mooring.", code="bad_backup") from exc
    if not known:
        raise Conflict(
            f"{source} was made by Mooring {found.version}, which is newer.",
            hint="Restore it with that version.",
            code="backup_too_new",
        )
    return found


def _sum(file: IO[bytes]) -> str:
    found = hashlib.sha256()
    while chunk := file.read(CHUNK):
        found.update(chunk)
    return found.hexdigest()
