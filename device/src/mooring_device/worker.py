"""One thread for the application's callbacks, so that a slow one never stops the network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Worker"]

log = logging.getLogger("mooring_device")


class Worker:
    """Runs what it is given, one after the other. Safe to use from any thread."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, work: Callable[[], None]) -> None:
        self._work.put(work)

    def close(self, timeout: float) -> bool:
        """Finish what is queued; false when it takes longer than ``timeout`` seconds."""
        self._work.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            try:
                work()
            except BaseException:  # SystemExit would end this thread, which all callbacks share
                log.exception("A callback of the device failed.")
