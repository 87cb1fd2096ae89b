"""Where something goes wrong, and what: one fault at one step, once."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

__all__ = ["Fault", "Killed", "Points"]

BUSY_SECONDS = 1.5


class Fault(StrEnum):
    KILLED = "process killed"
    BROKER = "broker killed"
    MESSAGE = "message lost"
    ANSWER = "answer lost"
    BUSY = "database busy"


class Killed(BaseException):
    """The platform's process ends here: nothing after this line is done. No Exception, since
    workers keep those to the row they concern."""


class Points:
    """Step boundaries. ``hit(name)`` is called at each; the armed one fails, once.

    A lost message or answer is the next one after the step, whichever way it goes: to the
    broker, to the device, over HTTP.
    """

    def __init__(self, database: Path, kill_broker: Callable[[], None]) -> None:
        self._database = database
        self._kill_broker = kill_broker
        self._lock = threading.Lock()
        self._armed: tuple[str, Fault] | None = None
        self._lose: set[Fault] = set()
        self.fired = False

    def arm(self, point: str, fault: Fault) -> None:
        with self._lock:
            self._armed, self.fired = (point, fault), False
            self._lose.clear()

    def disarm(self) -> None:
        with self._lock:
            self._armed = None
            self._lose.clear()

    def hit(self, point: str) -> None:
        """Raises ``Killed`` when that is what happens here."""
        with self._lock:
            if self._armed is None or self._armed[0] != point or self.fired:
                return
            self.fired = True
            fault = self._armed[1]
        match fault:
            case Fault.KILLED:
                raise Killed(point)
            case Fault.BROKER:
                self._kill_broker()
            case Fault.BUSY:
                self._busy()
            case Fault.MESSAGE | Fault.ANSWER:
                with self._lock:
                    self._lose.add(fault)

    def lost(self, fault: Fault) -> bool:
        """Whether this message or answer is the one that is lost."""
        with self._lock:
            if fault not in self._lose:
                return False
            self._lose.remove(fault)
            return True

    def _busy(self) -> None:
        """Somebody else writes and takes their time."""
        held = threading.Event()

        def hold() -> None:
            with sqlite3.connect(self._database, timeout=30, isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                held.set()
                threading.Event().wait(BUSY_SECONDS)
                other.execute("ROLLBACK")
            other.close()

        threading.Thread(target=hold, name="busy", daemon=True).start()
        held.wait(30)
