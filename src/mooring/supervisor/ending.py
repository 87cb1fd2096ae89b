"""Ending a process within its time, even if something hangs.

A thread that waits for a server which does not answer cannot be ended, and Python waits for
threads when it exits. What matters is done by then: other processes are stopped in order, and a
transaction that was not committed is none.
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
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["exit_within", "run", "stopping_signals"]

log = logging.getLogger(__name__)

THREADS = 32
"""More than the questions that can hang at the same time, so that files are still read."""


def run(
    main: Coroutine[Any, Any, int],
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> int:
    """As ``asyncio.run``, but threads that hang are left behind."""
    loop = new_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "mooring"))
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def exit_within(seconds: float, code: int) -> None:
    """Ends this process after so long, with this exit code, if it has not ended by itself."""

    def end() -> None:
        time.sleep(seconds)
        log.warning("something did not answer; this process ends without waiting for it")
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(code)

    threading.Thread(target=end, name="exit", daemon=True).start()


def stopping_signals() -> tuple[signal.Signals, ...]:
    """What stops a process in order. SIGHUP, sent when a terminal is closed, is among them, but
    not under ``nohup``, which ignores it on purpose."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if ignored else _ALL


_ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
