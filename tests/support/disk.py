"""A small disk of one's own, to be filled: a file system in memory, in a mount namespace that
ends with the program that runs in it. Nothing is mounted on the machine itself.

Linux only, and only where mounting is allowed to this user, at least in a namespace.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.programs import find_program

__all__ = ["clear", "fill", "free", "on_small_disk"]

_MOUNT = 'mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && exec "$@"'
_BLOCK = bytes(65_536)


def on_small_disk(megabytes: int, directory: Path) -> list[str | Path]:
    """The words in front of a command for which ``directory`` is a disk of that size."""
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    unshare = find_program("unshare", package="util-linux")
    return [unshare, "--mount", *mapped, "sh", "-c", _MOUNT, "disk", str(megabytes), directory]


def fill(directory: Path, *, leave: int = 0) -> None:
    """Writes a file until there is no space left but ``leave`` bytes."""
    with (directory / "filler").open("ab", buffering=0) as filler:
        try:
            while free(directory) > leave:
                filler.write(_BLOCK[: max(1, min(len(_BLOCK), free(directory) - leave))])
        except OSError:
            return  # somebody else took the last block: full is full


def clear(directory: Path) -> None:
    """Takes that file away again."""
    (directory / "filler").unlink()


def free(directory: Path) -> int:
    """Bytes left."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
