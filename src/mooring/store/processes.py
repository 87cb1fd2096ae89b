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
from mooring.supervisor.state import Phase, Policy
from mooring.supervisor.worker import Record, Report

__all__ = ["BEAT_SECONDS", "STALE_MS", "WORKERS", "Heartbeat", "alive", "is_alive", "runs"]

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
STALE_MS = 20_000  # four missed beats
STOP_SECONDS = 3.0  # for the thread, which may wait for a database that does not answer
WORKERS = "workers"
"""The key of ``detail`` under which a process reports its workers."""
POLICY = Policy(first=1.0, most=BEAT_SECONDS)


def is_alive(beat_at: int, at: int) -> bool:
    """Whether a process that reported last at ``beat_at`` counts as running; both in epoch
    milliseconds. With ``alive``, the only definition there is. Pure."""
    return beat_at > at - STALE_MS


def alive() -> sa.ColumnElement[bool]:
    """``is_alive`` now, as a condition on rows of ``processes``."""
    return processes.c.beat_at > now_ms() - STALE_MS


def runs(connection: sa.Connection, role: str) -> bool:
    """Whether a process of this role runs."""
    found = sa.select(processes.c.name).where(processes.c.role == role, alive())
    return connection.execute(found.limit(1)).first() is not None


class Heartbeat:
    """Writes one row of ``processes`` from a thread of its own until stopped.

    It is a worker too: after any error in it, the next beat is tried.

    Args:
        role: ``up``, ``ingest``, ``serve``, ``keeper``.
        detail: called for each beat; its result is stored as JSON.
        workers: called for each beat; what is known of the workers of this process.
    """

    def __init__(
        self,
        database: Database,
        role: str,
        detail: Callable[[], Mapping[str, object]] = dict,
        workers: Callable[[], Report] = dict,
    ) -> None:
        self._database = database
        self._role = role
        self._detail = detail
        self._workers = workers
        self._record = Record("heartbeat", role, POLICY)
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
        self._thread.join(timeout=STOP_SECONDS)
        if self._thread.is_alive():
            log.warning("could not sign off: the database does not answer")
            return
        try:
            with self._database.write(news=False) as connection:
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
            "detail": json.dumps({**self._detail(), WORKERS: self._report()}),
        }
        with self._database.write(news=False, lasting=False) as connection:
            updated = connection.execute(
                sa.update(processes).where(processes.c.name == self._name).values(values)
            )
            if updated.rowcount == 0:
                connection.execute(
                    sa.delete(processes).where(
                        processes.c.role == self._role,
                        processes.c.host == values["host"],
                        sa.not_(alive()),
                    )
                )
                connection.execute(sa.insert(processes).values(name=self._name, **values))

    def _report(self) -> Report:
        return {**self._workers(), self._record.name: self._record.document()}

    def _run(self) -> None:
        record = self._record
        while not self._stop.is_set():
            try:
                if record.state.phase is not Phase.RUNNING:
                    record.begin()
                self.beat()
            except Exception as exc:  # noqa: BLE001 - it is recorded, and shown with the next beat
                record.fail(exc)
                self._wake.wait(record.pause)
            else:
                self._wake.wait(BEAT_SECONDS)
            self._wake.clear()
