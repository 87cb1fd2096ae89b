"""How a process logs: one line an event, to standard error, times in UTC."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

__all__ = ["AGAIN_SECONDS", "Repetitions", "configure"]

AGAIN_SECONDS = 60.0
FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-8s %(name)s: %(message)s"


def configure(level: str) -> None:
    """Sets up logging for this process; ``level`` is debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(Repetitions())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "asyncio", "httpx", "paho"):
        logging.getLogger(chatty).setLevel("WARNING")


class Repetitions(logging.Filter):
    """Says the same warning of the same part of the program once a minute, with how often it
    was left out: what waits for a database would say so every second.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[str, tuple[str, float, int]] = {}  # by logger: what, when, left out

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        text, now = record.getMessage(), self._clock()
        before, at, left_out = self._last.get(record.name, ("", 0.0, 0))
        if text == before and now < at + AGAIN_SECONDS:
            self._last[record.name] = (before, at, left_out + 1)
            return False
        self._last[record.name] = (text, now, 0)
        if left_out and text == before:
            record.msg, record.args = f"{text} ({left_out} times more since)", None
        return True
