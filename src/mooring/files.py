"""Files that another process reads: written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mooring.errors import Unavailable

__all__ = ["sync_folder", "write_atomically"]


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` in one step; after a power cut it is the old file or the new one.

    The new file has ``mode``, whatever the umask says, and the owner of the old one, so a broker
    that runs as another user can still read it.

    Raises:
        Unavailable: the folder is missing or not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                _keep_owner(path, file.fileno())
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as exc:
        raise Unavailable(f"{path} cannot be written: {exc.strerror}.") from exc


def _keep_owner(path: Path, descriptor: int) -> None:
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)


def sync_folder(folder: Path) -> None:
    """Makes renames and removals in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
