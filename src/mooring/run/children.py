"""Child processes that are started again when they die.

``Child`` starts one Mooring command, notices its end and starts it again, later each time it
dies young. ``follow_parent`` is the other side: a child whose parent is gone ends itself, so
that killing ``mooring up`` with -9 leaves nothing behind but the broker, which the next start
takes over.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from mooring import handover
from mooring.errors import Unavailable
from mooring.handover import SUPERVISED
from mooring.run.template import Forked, Template, settings_variables
from mooring.settings import Settings
from mooring.supervisor.restarts import YOUNG_SECONDS, restart_pause

__all__ = ["Child", "follow_parent"]

log = logging.getLogger(__name__)

STOP_SECONDS = 15.0
LAST_BYTES = 8192
PARENT_SECONDS = 0.5  # between two looks at the parent, where its end cannot be waited for
ORPHANED_SECONDS = 0.01


class Child:
    """One supervised process.

    Args:
        name: for people, and of its log file.
        words: the Mooring command and its options.
        settings: of this process; the child has the same.
        log_file: where its output goes.
        template: forks it; without one it is started as a program.
    """

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        settings: Settings,
        log_file: Path,
        template: Template | None = None,
    ) -> None:
        self.name = name
        self.restarts = 0
        self._words = list(words)
        self._settings = settings
        self._log_file = log_file
        self._template = template
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    async def start(self) -> None:
        """Starts it; ``keep`` starts it again when it ends."""
        async with self._turn:
            self._wanted.set()
            if not self.alive:
                await self._spawn()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL if it does not end in time."""
        self._wanted.clear()
        async with self._turn:
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

    async def ended(self) -> int:
        """Waits until it ends, and is not started again; its exit code."""
        return 0 if self._process is None else await self._process.wait()

    async def restart(self, settings: Settings) -> None:
        """Ends it in the proper way and starts it with other settings."""
        await self.stop()
        self._settings = settings
        await self.start()

    async def keep(self) -> None:
        """Until cancelled: starts it again when it ends and is still wanted."""
        young = 0
        while True:
            await self._wanted.wait()
            process, born = self._process, time.monotonic()
            code = await process.wait() if process is not None else 0
            async with self._turn:  # a stop or a start that is under way ends first
                if not self._wanted.is_set() or process is not self._process:
                    continue
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
            async with self._turn:
                if self._wanted.is_set() and not self.alive:
                    self.restarts += 1
                    await self._spawn()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log: usually why it died."""
        try:
            with self._log_file.open("rb") as file:
                file.seek(max(0, self._log_file.stat().st_size - LAST_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    async def _spawn(self) -> None:
        document = handover.document(self._settings)
        descriptor = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await self._forked(document, descriptor) or await self._program(
                document, descriptor
            )
        finally:
            os.close(descriptor)

    async def _forked(self, document: bytes, descriptor: int) -> Forked | None:
        """``None``: there is no template, or none any more."""
        if self._template is None or not self._template.alive:
            return None
        try:
            return await self._template.fork(self._words, document, descriptor)
        except Unavailable as exc:
            log.warning("%s is started as a program: %s", self.name, exc)
            return None

    async def _program(self, document: bytes, descriptor: int) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mooring",
            *self._words,
            stdin=asyncio.subprocess.PIPE,
            stdout=descriptor,
            stderr=descriptor,
            env={
                **handover.without_settings(os.environ, settings_variables()),
                SUPERVISED: str(os.getpid()),
            },
            # Ctrl-C in the terminal is for us; we stop the children in order.
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(document)
        process.stdin.close()
        return process


def follow_parent() -> None:
    """Ends this process, by SIGTERM to itself, when the parent that supervises it is gone."""
    parent = os.environ.get(SUPERVISED)
    if not parent:
        return

    heir = os.environ.get(handover.HEIR, "")

    def watch() -> None:
        _wait_for_end(int(parent))
        if heir and os.getppid() == int(heir):  # the template has ended, and ``up`` has not
            _wait_for_end(int(heir))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)  # as long as a parent would wait before it kills
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="follow parent", daemon=True).start()


def _wait_for_end(parent: int) -> None:
    """Until this process has another parent; without waking up meanwhile where that can be."""
    try:
        descriptor = os.pidfd_open(parent)
    except (AttributeError, OSError):  # not Linux, not allowed, or gone already
        descriptor = None
    while os.getppid() == parent:
        if descriptor is None:
            time.sleep(PARENT_SECONDS)
        else:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll()
            time.sleep(ORPHANED_SECONDS)  # until the system has given this process a new parent
