"""Small files that survive a power cut: written under another name, synced, then renamed."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

__all__ = ["quarantine", "read_high_water", "write_atomically", "write_high_water"]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` with ``data``, readable by its owner only. After a power cut it holds
    either the old or the new content, never a part.

    Raises:
        OSError: it cannot be written; the old content is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` permanent."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_high_water(path: Path) -> int:
    """A number above every sequence number given out, or 0 when none was noted."""
    try:
        return int(path.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0  # ValueError: damaged with the rest of the disk; nothing better is known


def write_high_water(path: Path, number: int) -> None:
    write_atomically(path, str(number).encode("ascii"))


def quarantine(path: Path) -> Path:
    """Move a damaged database aside, with its journal, for somebody to look at."""
    kept = path.with_name(f"{path.name}.damaged-{int(time.time())}")
    path.replace(kept)
    for suffix in ("-wal", "-shm"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.replace(kept.with_name(kept.name + suffix))
    return kept
