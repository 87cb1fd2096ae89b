"""How a process logs: one line an event, to standard error, times in UTC."""

from __future__ import annotations

import logging
import sys
import time

__all__ = ["configure"]

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-8s %(name)s: %(message)s"


def configure(level: str) -> None:
    """Sets up logging for this process; ``level`` is debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "asyncio", "httpx", "paho"):
        logging.getLogger(chatty).setLevel("WARNING")
