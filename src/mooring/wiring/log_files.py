"""Log files stay small: the current one and one older, each of at most ``log_max_bytes``.

The broker opens a new file on SIGHUP, so its log is moved away. The processes write into a
descriptor they were given, so theirs are copied and then emptied.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from mooring.errors import BrokerUnavailable

__all__ = ["LogFiles", "copy_and_empty"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0


class LogFiles:
    """The log files of one platform.

    Args:
        directory: where they are.
        most: bytes of one file.
        broker_log: the broker's, which is moved; ``None`` where none is managed.
        reopen: makes the broker open a new file; ``turn`` is held meanwhile, because a
            SIGHUP ends a broker that is only starting.
    """

    def __init__(
        self,
        directory: Path,
        most: int,
        broker_log: Path | None,
        reopen: Callable[[], Awaitable[None]],
        turn: asyncio.Lock,
    ) -> None:
        self._directory = directory
        self._most = most
        self._broker_log = broker_log
        self._reopen = reopen
        self._turn = turn

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Rotates what is too large now; one file that cannot be rotated stops no other."""
        for path in sorted(self._directory.glob("*.log")):
            try:
                if path.stat().st_size <= self._most:
                    continue
                if path == self._broker_log:
                    async with self._turn:
                        path.replace(_older(path))
                        await self._reopen()
                else:
                    await asyncio.to_thread(copy_and_empty, path)
            except (OSError, BrokerUnavailable) as exc:
                log.warning("the log file %s was not rotated: %s", path, exc)


def copy_and_empty(path: Path) -> None:
    """Keeps the content as the older file and empties the current one, to which somebody
    appends. A line that is written at that very moment may be lost.

    Raises:
        OSError: the disk is full, or the file is not ours; nothing was emptied.
    """
    temporary = path.with_name(f".{path.name}.old")
    try:
        with path.open("rb") as source, temporary.open("wb") as target:
            temporary.chmod(0o600)
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            target.write(source.read())  # what came while it was copied
        temporary.replace(_older(path))
        os.truncate(path, 0)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")
