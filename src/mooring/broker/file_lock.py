"""A lock between processes, let go by the kernel when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mooring.errors import BrokerUnavailable

__all__ = ["FileLock"]

PAUSE_FIRST, PAUSE_MOST = 0.0005, 0.02  # seconds between two tries


class FileLock:
    """One file that a process at a time holds. Blocks; for one thread at a time.

    The same holder may take it again inside its own block.

    Args:
        path: made when it is missing; its folder, too.
        seconds: how long to wait for another holder.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds it for the time of the block.

        Raises:
            BrokerUnavailable: another process holds it for too long, or it cannot be made.
        """
        if self._depth:
            yield
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Not inherited: a child that outlives us must not keep it.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
        except OSError as exc:
            raise BrokerUnavailable(f"{self._path} cannot be written: {exc.strerror}.") from exc
        try:
            self._take(descriptor)
            self._depth = 1
            yield
        finally:
            self._depth = 0
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        deadline, pause = time.monotonic() + self._seconds, PAUSE_FIRST
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BrokerUnavailable(
                        f"{self._path} is held by another process of Mooring.",
                        hint="It is tried again.",
                        code="accounts_file_busy",
                    ) from None
                time.sleep(pause)
                pause = min(PAUSE_MOST, 2 * pause)
            else:
                return
