"""One ``mooring up`` for one data directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mooring.errors import Conflict

__all__ = ["exclusive", "holder"]

FILE = "up.lock"


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Holds the data directory for the time of the block; the kernel lets go when we die.

    Raises:
        Conflict: another ``mooring up`` has it; the message names its process.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / FILE
    # Not inherited by children: a child that outlives us must not keep the lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            pid = file.read().strip()
            raise Conflict(
                f"Mooring already runs on {data_dir}" + (f" as process {pid}." if pid else "."),
                hint="Stop that one first, or choose another --data-dir.",
                code="already_running",
            ) from exc
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.seek(0)
        file.truncate(0)


def holder(data_dir: Path) -> int | None:
    """The process id of the ``mooring up`` that holds the directory now, if one does."""
    path = data_dir / FILE
    try:
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = file.read().strip()
                return int(pid) if pid.isdigit() else None
    except OSError:
        return None
    return None
