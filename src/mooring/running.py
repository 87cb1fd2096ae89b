"""One ``mooring up`` for one data directory, and what it runs with.

While it runs, the values it was started with (ports given as flags, say) lie next to the lock,
so that every other command on the same data directory finds broker and HTTP automatically.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mooring.errors import Conflict
from mooring.files import write_atomically

__all__ = ["announce", "exclusive", "holder", "make_private", "values"]

FILE = "up.lock"
VALUES = "running.json"


def make_private(directory: Path) -> None:
    """Makes a folder for its owner only, also one that exists with other rights.

    Raises:
        Conflict: others may enter it, and it is not ours to change.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = directory.stat().st_mode
    if mode & 0o077:
        try:
            directory.chmod(stat.S_IMODE(mode) & 0o700)
        except PermissionError as exc:
            raise Conflict(
                f"Other users can access the data directory {directory}, and it belongs to "
                f"another user.",
                hint=f"Run: chmod 700 {directory}",
                code="data_dir_not_private",
            ) from exc


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Holds the data directory for the time of the block; the kernel lets go when we die.

    Raises:
        Conflict: another ``mooring up`` has it; the message names its process.
    """
    make_private(data_dir)
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
                hint="Stop it first, or choose another --data-dir.",
                code="already_running",
            ) from exc
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        (data_dir / VALUES).unlink(missing_ok=True)
        yield
        (data_dir / VALUES).unlink(missing_ok=True)
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


def announce(data_dir: Path, running_with: Mapping[str, Any]) -> None:
    """Says what the holder of the lock runs with; JSON values, no secrets."""
    write_atomically(data_dir / VALUES, json.dumps(dict(running_with), indent=1) + "\n")


def values(data_dir: Path) -> dict[str, Any]:
    """What the running ``mooring up`` said of itself; empty while none runs."""
    if holder(data_dir) in {None, os.getpid()}:
        return {}
    try:
        content = json.loads((data_dir / VALUES).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it is just starting and has not said anything yet
        return {}
    return content if isinstance(content, dict) else {}
