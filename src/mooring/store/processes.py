"""Each process says every few seconds that it lives, with figures of its own."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from mooring.errors import DatabaseUnavailable
from mooring.store import clock
from mooring.store.engine import Database, now_ms
from mooring.store.schema import processes

__all__ = ["BEAT_SECONDS", "STALE_MS", "Heartbeat"]

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
STALE_MS = 20_000  # four missed beats


class Heartbeat:
    """Writes one row of ``processes`` from a thread of its own until stopped.

    Args:
        role: ``ingest``, ``serve``, ``keeper``.
        detail: called for each beat; its result is stored as JSON.
    """

    def __init__(
        self,
        database: Database,
        role: str,
        detail: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        self._database = database
        self._role = role
        self._detail = detail
        self._name = f"{role}@{socket.gethostname()}:{os.getpid()}"
        self._started_at = now_ms()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{role} heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stops and takes the row away: the process has ended on purpose."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=2 * BEAT_SECONDS)
        try:
            with self._database.write() as connection:
                connection.execute(sa.delete(processes).where(processes.c.name == self._name))
        except DatabaseUnavailable as exc:
            log.warning("could not sign off: %s", exc)

    def nudge(self) -> None:
        """Something worth knowing has changed: beat now. Safe from any thread."""
        self._wake.set()

    def beat(self) -> None:
        clock.settle(self._database)
        values = {
            "role": self._role,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started_at": self._started_at,
            "beat_at": now_ms(),
            "detail": json.dumps(dict(self._detail())),
        }
        with self._database.write() as connection:
            updated = connection.execute(
                sa.update(processes).where(processes.c.name == self._name).values(values)
            )
            if updated.rowcount == 0:
                connection.execute(
                    sa.delete(processes).where(
                        processes.c.role == self._role,
                        processes.c.host == values["host"],
                        processes.c.beat_at < now_ms() - STALE_MS,
                    )
                )
                connection.execute(sa.insert(processes).values(name=self._name, **values))

    def _run(self) -> None:
        while True:
            try:
                self.beat()
            except DatabaseUnavailable as exc:
                log.warning("no heartbeat: %s", exc)
            self._wake.wait(BEAT_SECONDS)
            self._wake.clear()
            if self._stop.is_set():
                return
