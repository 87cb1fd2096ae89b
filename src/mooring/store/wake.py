"""Waking processes that wait for work, when somebody commits. SQLite only.

Who waits for work has a named pipe in a folder next to the database; a process that has committed
writes a byte to each of them. So a process that waits need not look several times a second, and
notices a change sooner than if it did. It looks occasionally nevertheless: time alone makes work
due, and a pipe may be missing (a file system without pipes, a program that writes SQL by itself).

What ingest's own connection commits wakes nobody: that happens with every message. On PostgreSQL
there is no such folder, and everybody looks several times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import time
from pathlib import Path

__all__ = ["ASLEEP_SECONDS", "AWAKE_SECONDS", "FOLDER", "Waker", "ring"]

log = logging.getLogger(__name__)

FOLDER = "wake"
AWAKE_SECONDS = 2.0  # after a commit: what follows from it may become due a little later
ASLEEP_SECONDS = 0.5  # between two looks when nobody commits
_UNFINISHED = "."  # the first character of a pipe that nobody reads yet
_BYTES = 4096


def ring(folder: Path, only: str = "") -> None:
    """Wakes everybody who waits in this folder. Never blocks, from any thread.

    Args:
        only: the work whose waiters are woken; empty: all.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names, and this is called for every commit
    except OSError:
        return  # nobody waits
    for name in names:
        if name.startswith(_UNFINISHED) or (only and not name.startswith(f"{only}-")):
            continue
        path = folder / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as exc:
            if exc.errno == errno.ENXIO:  # its reader was killed
                path.unlink(missing_ok=True)
            continue
        try:
            os.write(descriptor, b".")
        except OSError:
            continue  # full, so its reader is awake; or the reader has just ended
        finally:
            os.close(descriptor)


class Waker:
    """Lets one task wait. Used inside an event loop, until ``close``.

    Args:
        folder: where ``ring`` looks; ``None`` where nobody rings.
        work: what is waited for, one word; see ``ring``.
        awake: seconds after a commit for which ``wait`` waits no longer than it would where nobody
            rings; 0 for a caller that knows when work becomes due.
    """

    def __init__(
        self, folder: Path | None, work: str = "any", *, awake: float = AWAKE_SECONDS
    ) -> None:
        self._work = work
        self._awake = awake
        self._rung = asyncio.Event()
        self._awake_until = 0.0  # monotonic
        self._path: Path | None = None
        self._descriptors: tuple[int, ...] = ()
        if folder is not None:
            try:
                self._open(folder)
            except OSError as exc:
                log.warning("commits of others are looked for, since nobody can tell: %s", exc)

    async def wait(self, seconds: float, asleep: float | None = None) -> bool:
        """Waits so long when somebody has committed lately, or nobody can tell; else until
        somebody commits, at most ``asleep`` seconds. Whether somebody may have committed.

        Args:
            asleep: ``ASLEEP_SECONDS`` unless given.
        """
        told = self._path is not None
        if told and time.monotonic() >= self._awake_until:
            seconds = max(seconds, ASLEEP_SECONDS if asleep is None else asleep)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        if self._rung.is_set():
            self._rung.clear()
            self._awake_until = time.monotonic() + self._awake
            return True
        return not told

    def wake(self) -> None:
        """Ends the wait from inside this event loop."""
        self._rung.set()

    def close(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            asyncio.get_running_loop().remove_reader(self._descriptors[0])
            path.unlink(missing_ok=True)
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = ()

    def _open(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{self._work}-{os.getpid()}-{secrets.token_hex(4)}"
        unfinished = folder / f"{_UNFINISHED}{name}"
        os.mkfifo(unfinished, 0o600)
        try:
            reading = os.open(unfinished, os.O_RDONLY | os.O_NONBLOCK)
            # While there is a writer, the end of another one is not the end of the pipe.
            self._descriptors = (reading, os.open(unfinished, os.O_WRONLY | os.O_NONBLOCK))
            unfinished.rename(folder / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        asyncio.get_running_loop().add_reader(reading, self._read)
        self._path = folder / name

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptors[0], _BYTES)
        self._rung.set()
