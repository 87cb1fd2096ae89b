"""Child processes that are started again when they die.

``Child`` starts one Mooring command, notices its end and starts it anew, later each time it
dies young. ``follow_parent`` is the other side: a child whose parent is gone ends itself, so
that killing ``mooring up`` with -9 leaves nothing behind but the broker, which the next start
takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["SUPERVISED", "YOUNG_SECONDS", "Child", "follow_parent", "restart_pause"]

log = logging.getLogger(__name__)

SUPERVISED = "MOORING_SUPERVISED_BY"
STOP_SECONDS = 15.0
YOUNG_SECONDS = 10.0  # who dies younger than this is started again later
PAUSE_FIRST, PAUSE_MOST = 0.25, 10.0


def restart_pause(young_deaths: int) -> float:
    """Seconds to wait before starting again after this many early deaths in a row."""
    return min(PAUSE_MOST, PAUSE_FIRST * float(1 << min(young_deaths, 16)))


class Child:
    """One supervised process.

    Args:
        name: for people, and of its log file.
        words: the Mooring command and its options.
        env: the whole environment.
        log_file: where its output goes.
    """

    def __init__(
        self, name: str, words: Sequence[str], env: Mapping[str, str], log_file: Path
    ) -> None:
        self.name = name
        self.restarts = 0
        self._words = list(words)
        self._env = dict(env)
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    async def start(self) -> None:
        """Starts it, and again whenever it ends, until ``stop``."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL if it does not end in time."""
        self._stopping = True
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            log.warning("%s did not end within %g s; killed", self.name, STOP_SECONDS)
            process.kill()
            await process.wait()

    async def restart(self, env: Mapping[str, str]) -> None:
        """Ends it in the proper way and starts it with another environment."""
        await self.stop()
        self._stopping = False
        self._env = dict(env)
        await self.start()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log: usually why it died."""
        try:
            text = self._log_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    async def _spawn(self) -> None:
        descriptor = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mooring",
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env={**self._env, SUPERVISED: str(os.getpid())},
                # Ctrl-C in the terminal is for us; we stop the children in order.
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    async def _keep(self) -> None:
        young = 0
        while not self._stopping:
            assert self._process is not None
            born = time.monotonic()
            code = await self._process.wait()
            age = time.monotonic() - born
            young = young + 1 if age < YOUNG_SECONDS else 0
            pause = restart_pause(young)
            log.warning(
                "%s ended with %s after %.0f s; starting it again in %.2g s",
                self.name,
                f"signal {-code}" if code < 0 else f"code {code}",
                age,
                pause,
            )
            await asyncio.sleep(pause)
            self.restarts += 1
            await self._spawn()


def follow_parent() -> None:
    """Ends this process, by SIGTERM to itself, when the parent that supervises it is gone."""
    parent = os.environ.get(SUPERVISED)
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow parent", daemon=True).start()
