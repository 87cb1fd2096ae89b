"""The keeper process: work that nobody waits for."""

from __future__ import annotations

import signal
import threading

from mooring.app import App
from mooring.run.process import prepare
from mooring.store.processes import Heartbeat

__all__ = ["main"]


def main(app: App) -> None:
    """Runs until SIGTERM or SIGINT."""
    prepare(app.settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    heartbeat = Heartbeat(app.database, "keeper")
    heartbeat.start()
    stop.wait()
    heartbeat.stop()
