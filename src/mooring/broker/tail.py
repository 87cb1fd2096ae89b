"""Follow a log file through rotation and truncation."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["LogTail"]

POLL_SECONDS = 0.5
READ_BYTES = 1 << 20
INLINE_BYTES = 16_384
"""Up to this many are read without a thread: they have just been written, and are in memory."""
MAX_LINE_BYTES = 1 << 16
"""A longer line is not a sentence of a broker's; it is cut so that memory stays bounded."""


class LogTail:
    """New lines of a file, as they come.

    Args:
        path: need not exist yet.
        from_start: whether what is there already counts as new.
    """

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self.read_at = 0.0
        """When everything that was there had been read, and taken by ``follow``'s reader."""
        if not from_start and path.exists():
            self._file = path.open("rb")
            self._file.seek(0, os.SEEK_END)

    def read(self) -> list[str]:
        """Complete lines since the last call, at most about a megabyte of them.

        A renamed file is read to its end before the new one is opened; a truncated one is
        read from its beginning.
        """
        if self._file is None and not self._open():
            return []
        lines = self._take()
        if not lines and self._moved():
            self.close()
            if self._open():
                lines = self._take()
        return lines

    async def follow(
        self, poll: float | Callable[[], float] = POLL_SECONDS
    ) -> AsyncIterator[list[str]]:
        """Batches of lines indefinitely, each as soon as ``poll`` seconds let it be seen."""
        while True:
            began = time.monotonic()
            unread = self._unread()
            if unread is None or unread > INLINE_BYTES:
                lines = await asyncio.to_thread(self.read)
            else:
                lines = self.read() if unread else []
            if lines:
                yield lines
            else:
                self.read_at = began
                await asyncio.sleep(poll() if callable(poll) else poll)

    def _unread(self) -> int | None:
        """How many bytes have been added; ``None`` if it is another file now, or a shorter one.
        Asks only the file system's cache, so it needs no thread, several times a second."""
        if self._file is None or self._moved():
            return None
        more = os.fstat(self._file.fileno()).st_size - self._file.tell()
        return more if more >= 0 else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _open(self) -> bool:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:  # not there yet, or between two files of a rotation
            return False
        return True

    def _take(self) -> list[str]:
        assert self._file is not None
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        data = self._rest + self._file.read(READ_BYTES)
        *lines, self._rest = data.split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest[:MAX_LINE_BYTES])
            self._rest = b""
        return [line.decode(errors="replace") for line in lines]

    def _moved(self) -> bool:
        """Whether another file has the path now."""
        assert self._file is not None
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(self._file.fileno())
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
