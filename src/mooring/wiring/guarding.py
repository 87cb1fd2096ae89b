"""The guard of ``mooring up``: see ``mooring.wiring.guard``, the program it is."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mooring.errors import Internal
from mooring.settings import Settings
from mooring.wiring import guard
from mooring.wiring.broker import BrokerFiles

__all__ = ["Guard"]


class Guard:
    """Keeps one guard running while the platform runs.

    Args:
        settings: where the broker's files are, and how long it may run alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Until cancelled.

        Raises:
            Internal: it ended; call again.
        """
        files = BrokerFiles(self._settings)
        log = self._settings.logs_dir.absolute() / "guard.log"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(Path(guard.__file__)),
                str(files.pid),
                str(files.config),
                str(self._settings.broker_orphan_seconds),
                str(log),
                stdin=asyncio.subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            )
        finally:
            os.close(descriptor)
        code = await process.wait()
        raise Internal(f"The guard of the broker ended with code {code}.")

    async def stop(self) -> None:
        """Releases it: the platform stops in order."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.write(b".")
        process.stdin.close()
        await process.wait()
