"""When to reload certificate files that somebody else renews (certbot, a company CA).

Pure: stamps in, a decision out. Looking at the files is ``stamp``; the loop that looks every few
seconds, checks the pair (``mooring.pki.inspect``) and reloads the broker is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["FileStamp", "Stamps", "WatchDecision", "changed", "decide", "stamp"]


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells two versions of a file apart without reading it.

    The time alone does not: a copy may keep it (``cp -p``), and some file systems count in
    whole seconds. A symbolic link (certbot's ``live/``) is followed, so a new target shows as
    another inode.
    """

    mtime_ns: int
    size: int
    inode: int


#: ``None``: the file does not exist or cannot be looked at.
Stamps = Mapping[Path, FileStamp | None]


class WatchDecision(StrEnum):
    KEEP = "keep"  # what the broker has loaded is what is there
    WAIT = "wait"  # something is being replaced: look again
    RELOAD = "reload"  # all files are there, differ from what is loaded, and have come to rest


def changed(before: Stamps, after: Stamps) -> list[Path]:
    """The files that differ, in the order of *after*; also those that came or went."""
    paths = [*after, *(path for path in before if path not in after)]
    return [path for path in paths if before.get(path) != after.get(path)]


def decide(loaded: Stamps, previous: Stamps, current: Stamps) -> WatchDecision:
    """Whether the broker should load the files again.

    A certificate and its key are replaced one after the other, so a change counts only when
    two looks in a row agree and no file is missing.

    Args:
        loaded: the stamps when the broker last loaded the files.
        previous: the stamps at the last look.
        current: the stamps now.
    """
    if not changed(loaded, current):
        return WatchDecision.KEEP
    if changed(previous, current) or any(value is None for value in current.values()):
        return WatchDecision.WAIT
    return WatchDecision.RELOAD


def stamp(paths: Iterable[Path]) -> dict[Path, FileStamp | None]:
    """Look at the files."""
    stamps: dict[Path, FileStamp | None] = {}
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            stamps[path] = None
        else:
            stamps[path] = FileStamp(found.st_mtime_ns, found.st_size, found.st_ino)
    return stamps
