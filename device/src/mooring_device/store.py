"""The queue on disk: one thread, one SQLite connection, group commit.

Everything that has arrived while the last commit ran goes into the next transaction, so one
reading costs one sync and a thousand at once cost one sync too. When ``append`` returns with
``wait``, the reading survives kill -9 and a power cut (WAL, ``synchronous=FULL``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from mooring_device.errors import StoreUnavailable
from mooring_device.files import quarantine, read_high_water, write_high_water
from mooring_device.limits import Limits
from mooring_device.tables import New, Tables

__all__ = ["RESERVE", "Store"]

log = logging.getLogger("mooring_device")

T = TypeVar("T")
Job = Callable[[Tables], Any]

RESERVE = 10_000  # numbers noted in addition to the database, so that its loss repeats none


def _now_ms() -> int:
    return int(time.time() * 1000)


class Store:
    """The queue of one device. Safe to use from any thread.

    Args:
        path: the database file; made when it does not exist.
        limits: what it may hold.
        synchronous: ``FULL`` syncs every commit; ``NORMAL`` may lose the last ones in a
            power cut, but not when only the process dies.
        on_commit: called from the store's thread after each commit that added something.

    Raises:
        StoreUnavailable: in use by another process, no right, disk full.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        *,
        synchronous: str = "FULL",
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.limits = limits or Limits()
        self.unstored = 0  # readings given without waiting that could not be written
        self._on_commit = on_commit
        self._synchronous = synchronous
        self._high_path = path.with_suffix(".high")
        self._high = 0
        self._jobs: deque[tuple[Job | New, Future[Any] | None]] = deque()
        self._ready = threading.Condition()
        self._closing = False
        opened: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(opened,), name="mooring-store", daemon=True
        )
        self._thread.start()
        opened.result()

    # ------------------------------------------------------------------ for every thread

    def append(self, new: New, *, wait: bool = True) -> int | None:
        """Queue a message. With ``wait`` it is on disk on return, and its number is the
        answer; without, it is on disk some milliseconds later.

        Raises:
            StoreUnavailable: it could not be written (only told with ``wait``).
        """
        future: Future[Any] | None = Future() if wait else None
        with self._ready:
            while len(self._jobs) >= self.limits.pending and not self._closing:
                self._ready.wait(1.0)  # the disk is slower than the application
            self._put(new, future)
        return int(future.result()) if future else None

    def run(self, job: Callable[[Tables], T]) -> T:
        """Run ``job`` in a transaction in the store's thread and wait for its commit.

        Raises:
            StoreUnavailable: the transaction failed and was rolled back.
        """
        future: Future[T] = Future()
        with self._ready:
            self._put(job, future)
        return future.result()

    def post(self, job: Job) -> None:
        """Run ``job`` in the next transaction; nobody waits. A failure is logged."""
        with self._ready:
            self._put(job, None)

    def flush(self) -> None:
        """Wait until everything given so far is on disk."""
        self.run(lambda tables: None)

    def close(self) -> None:
        """Write what is waiting, then close the file. Calling it twice is not an error."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        self._thread.join()

    @property
    def last_seq(self) -> int:
        """The highest number given out; committed."""
        return self._committed[0]

    @property
    def held(self) -> int:
        """How many messages are in the queue."""
        return self._committed[1].readings

    @property
    def held_bytes(self) -> int:
        return self._committed[1].bytes

    def _put(self, what: Job | New, future: Future[Any] | None) -> None:
        if self._closing:
            raise StoreUnavailable("The device is closed; nothing can be queued any more.")
        self._jobs.append((what, future))
        self._ready.notify_all()

    # ------------------------------------------------------------------ the store's thread

    def _run(self, opened: Future[None]) -> None:
        try:
            self._tables = self._open()
        except StoreUnavailable as exc:
            opened.set_exception(exc)
            return
        except BaseException as exc:  # the constructor must not wait indefinitely
            opened.set_exception(exc)
            raise
        self._committed = self._tables.state()
        opened.set_result(None)
        while True:
            with self._ready:
                while not self._jobs and not self._closing:
                    self._ready.wait()
                batch = list(self._jobs)
                self._jobs.clear()
                self._ready.notify_all()
            if not batch:
                break
            self._commit(batch)
        with contextlib.suppress(sqlite3.Error):  # only tidies up; the data is safe in the WAL
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    def _commit(self, batch: list[tuple[Job | New, Future[Any] | None]]) -> None:
        before = self._tables.state()
        try:
            results = self._transact(batch)
        except Exception as exc:  # noqa: BLE001  rolled back, then reported to the callers
            self._tables.back_to(before)
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if len(batch) > 1:  # one bad job must not take the others with it
                for one in batch:
                    self._commit([one])
            else:
                self._failed(batch[0], exc)
            return
        self._committed = self._tables.state()
        for (_, future), result in zip(batch, results):
            if future is not None:
                future.set_result(result)
        if self._committed[0] != before[0]:
            self._on_commit()

    def _transact(self, batch: list[tuple[Job | New, Future[Any] | None]]) -> list[Any]:
        tables = self._tables
        results: list[Any] = []
        news: list[New] = []

        def write_news() -> None:
            if news:
                first = tables.append(news)
                results.extend(range(first, first + len(news)))
                news.clear()

        self._db.execute("BEGIN IMMEDIATE")
        for what, _ in batch:
            if isinstance(what, New):
                news.append(what)
            else:
                write_news()
                results.append(what(tables))
        write_news()
        drop = tables.enforce(self.limits, _now_ms())
        self._db.execute("COMMIT")
        if drop.rows:
            log.warning(
                "The queue is over its limits: dropped the oldest %d readings (%d for size, "
                "%d for age).",
                drop.rows,
                drop.by_size,
                drop.by_age,
            )
        return results

    def _reserve(self, upto: int) -> None:
        if upto > self._high:
            write_high_water(self._high_path, upto + RESERVE)
            self._high = upto + RESERVE

    def _failed(self, job: tuple[Job | New, Future[Any] | None], exc: Exception) -> None:
        what, future = job
        error: Exception = exc
        if isinstance(exc, (sqlite3.Error, OSError)):
            error = StoreUnavailable(
                f"The queue {self.path} cannot be written: {exc}.",
                hint="Check that the disk is neither full nor read-only.",
            )
            error.__cause__ = exc
        if future is not None:
            future.set_exception(error)
            return
        if isinstance(what, New):
            self.unstored += 1
        log.error("Not stored: %s", error)

    # ------------------------------------------------------------------ opening

    def _open(self) -> Tables:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made by us before SQLite does, so that it is ours alone from the first byte.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._high = read_high_water(self._high_path)
            tables = self._connect()
        except OSError as exc:
            raise StoreUnavailable(
                f"The store {self.path} cannot be opened: {exc.strerror}.",
                hint="Give store= a folder this user may write to.",
            ) from exc
        if tables.last_seq == 0 and self._high:
            # The database was lost or removed: continue above every number ever given out.
            tables.last_seq = self._high
        return tables

    def _connect(self) -> Tables:
        try:
            return self._connect_once()
        except sqlite3.OperationalError as exc:
            if "locked" in str(exc):
                raise StoreUnavailable(
                    f"The store {self.path} is in use by another process.",
                    hint="Give every device a store of its own.",
                ) from exc
            raise StoreUnavailable(f"The store {self.path} cannot be opened: {exc}.") from exc
        except sqlite3.NotSupportedError as exc:
            raise StoreUnavailable(
                f"The store {self.path} was written by a newer version.", hint="Update the SDK."
            ) from exc
        except sqlite3.DatabaseError as exc:
            kept = quarantine(self.path)
            log.warning("The store is damaged (%s); kept as %s, a new one is made.", exc, kept)
        try:
            return self._connect_once()
        except sqlite3.Error as exc:
            raise StoreUnavailable(f"The store {self.path} cannot be opened: {exc}.") from exc

    def _connect_once(self) -> Tables:
        self._db = sqlite3.connect(str(self.path), isolation_level=None, timeout=1.0)
        try:
            # One connection only: no shared memory file, and a second process is rejected.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={self._synchronous}")
            self._db.execute("PRAGMA cache_size=-512")  # KiB: a device has little memory
            self._db.execute("PRAGMA journal_size_limit=4194304")
            return Tables(self._db, self._reserve)
        except BaseException:
            self._db.close()
            raise
