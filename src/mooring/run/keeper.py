"""The keeper process: work that nobody waits for.

Roll-ups, retention, partitions ahead of time, checkpoints of SQLite's log. It works in short
transactions next to a busy ingest: one piece of each kind of work in turn.
"""

from __future__ import annotations

import gc
import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from mooring.app import App
from mooring.clock import TOLERANCE_MS
from mooring.dialects.live import LiveCatalogue
from mooring.retention import sweep as sweeping
from mooring.retention import tidy as tidying
from mooring.retention.service import Retention
from mooring.retention.sweep import Swept, sweep
from mooring.retention.tidy import JOBS, OFTEN, Tidied, tidy
from mooring.rollups.service import Roller
from mooring.run.process import prepare
from mooring.store import partitions, versions
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.processes import Heartbeat
from mooring.supervisor import ending
from mooring.supervisor.duties import Duties, Duty
from mooring.supervisor.rows import RowFaults
from mooring.supervisor.state import Policy
from mooring.traffic.model import MINUTE_MS
from mooring.traffic.service import Traffic

__all__ = ["Keeper", "main"]

log = logging.getLogger(__name__)

STOP_SECONDS = 12.0  # for a database that does not answer
PAUSE_SECONDS = 1.0  # when there is nothing to do
POLICY = Policy(first=1.0, most=30.0)  # of the kinds of work, each for itself
SWEEP_EVERY_MS = 3_600_000
TIDY_EVERY_MS = 3_600_000
OFTEN_EVERY_MS = 60_000
AHEAD_EVERY_MS = 6 * 3_600_000
CHECKPOINT_EVERY_MS = 60_000
DOUBT_MS = 60_000  # between two looks while the clock is in doubt


class Keeper:
    """Everything the keeper does, a piece at a time.

    Args:
        app: settings and dialects as they were at the start.
        database: a connection pool of its own; see ``main``.
        deletion_time: from the time of a turn to the one from which terms count back; by
            default that of the guarded clock.
    """

    def __init__(
        self,
        app: App,
        database: Database,
        deletion_time: Callable[[int], int | None] | None = None,
    ) -> None:
        settings = app.settings
        self._settings = settings
        self._database = database
        self._dialects = LiveCatalogue(
            app.settings.dialects_dir,
            versions.stored(database, "dialects"),
            app.catalogue,
            look_seconds=0,
        )
        self.roller = Roller(
            database,
            self._dialects.get,
            limits=app.payload_limits,
            metrics_max=settings.metrics_max_per_device,
        )
        self._retention = Retention(database, settings)
        self._deletion_time = deletion_time or (lambda _now: self._retention.deletion_time())
        self._sweeping: Iterator[Swept] | None = None
        self._swept = Swept()
        self._tidying: Iterator[Tidied] | None = None
        self._tidied_run = Tidied()
        self._tidied: Counter[str] = Counter()
        self._sweep_at = self._ahead_at = self._checkpoint_at = 0
        self._busy = False
        self._sweep_faults, self._tidy_faults = (
            RowFaults(sweeping.FAULTS),
            RowFaults(tidying.FAULTS),
        )
        self._tidy_at = self._often_at = self._turned_at = 0
        self._traffic, self._traffic_at = Traffic(database), 0
        self.duties = Duties(
            "keeper",
            [
                Duty("partitions", self._look_ahead, POLICY),
                Duty("roll-ups", self.roller.step, POLICY, (self.roller.faults,)),
                Duty("retention", self._sweep, POLICY, (self._sweep_faults,)),
                Duty("tidying", self._tidy, POLICY, (self._tidy_faults,)),
                Duty("traffic", self._note_traffic, POLICY),
                Duty("checkpoint", self._checkpoint, POLICY),
            ],
        )

    def turn(self, now: int) -> bool:
        """One piece of each kind of work; whether there is more to do at once. One that fails
        waits, and the others continue."""
        if now < self._turned_at - TOLERANCE_MS:
            # The time went back: nothing may wait until it is reached again.
            self._sweep_at = self._ahead_at = self._checkpoint_at = 0
            self._tidy_at = self._often_at = self._traffic_at = 0
        self._turned_at = now
        self._busy = self.duties.turn(now)
        return self._busy

    def detail(self) -> Mapping[str, object]:
        """Figures for ``status``."""
        figures = self.roller.figures
        return {
            "waiting": self.roller.waiting,
            "rolled_up": figures.messages,
            "rounds": figures.rounds,
            "longest_write_ms": round(max(figures.longest_write_ms, self._swept.longest_ms), 1),
            "messages_deleted": self._swept.messages,
            "rollups_deleted": self._swept.rollups,
            "records_deleted": self._tidied.total(),
        }

    # ------------------------------------------------------------------ inside

    def _look_ahead(self, now: int) -> bool:
        if now >= self._ahead_at:
            partitions.create_ahead(self._database, now)
            self._ahead_at = now + AHEAD_EVERY_MS
        return False

    def _sweep(self, now: int) -> bool:
        if self._sweeping is None:
            if now < self._sweep_at:
                return False
            at = self._deletion_time(now)
            if at is None:  # the clock is in doubt; `status` says so
                self._sweep_at = now + DOUBT_MS
                return False
            self._sweep_at = now + SWEEP_EVERY_MS
            self._sweeping = sweep(self._database, self._retention.policy(), at, self._sweep_faults)
        try:
            self._swept = next(self._sweeping)
        except StopIteration:
            self._sweeping = None
            return False
        except BaseException:
            self._sweeping = None
            raise
        return True

    def _tidy(self, now: int) -> bool:
        if self._tidying is None:
            if now >= self._tidy_at:
                self._tidy_at, jobs = now + TIDY_EVERY_MS, JOBS
            elif now >= self._often_at:
                jobs = OFTEN
            else:
                return False
            self._often_at = now + OFTEN_EVERY_MS
            at = self._deletion_time(now)
            if at is None:  # nothing may go for its age, and what is too much still does
                self._tidy_at, at, jobs = now + DOUBT_MS, now, OFTEN
            self._tidying = tidy(self._database, self._settings, at, jobs, self._tidy_faults)
            self._tidied_run = Tidied()
        try:
            self._tidied_run = next(self._tidying)
        except StopIteration:
            self._tidying = None
            self._tidied.update(self._tidied_run.rows)
            return False
        except BaseException:
            self._tidying = None
            raise
        return True

    def _note_traffic(self, now: int) -> bool:
        if now >= self._traffic_at:
            self._traffic.note(now)
            self._traffic_at = (now // MINUTE_MS + 1) * MINUTE_MS
        return False

    def _checkpoint(self, now: int) -> bool:
        """Moves SQLite's log into the database file while nobody is in a hurry."""
        if self._database.is_sqlite and not self._busy and now >= self._checkpoint_at:
            self._checkpoint_at = now + CHECKPOINT_EVERY_MS
            with self._database.read() as connection:
                driver = connection.connection.driver_connection
                assert driver is not None
                # PASSIVE waits for nobody and lets nobody wait.
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return False


def main(app: App) -> None:
    """Runs until SIGTERM or SIGINT."""
    prepare(app.settings)
    stop = threading.Event()

    def stopped(_number: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            ending.exit_within(STOP_SECONDS, 1)  # what was not committed is done again

    for number in ending.stopping_signals():
        signal.signal(number, stopped)
    # What is written here can be worked out again, so it need not wait for the disk. It is
    # never on disk without the messages it came from: one log holds both, in order.
    database = open_database(app.settings.effective_database_url, synchronous="NORMAL", news=False)
    keeper = Keeper(app, database)
    heartbeat = Heartbeat(app.database, "keeper", keeper.detail, keeper.duties.report)
    heartbeat.start()
    # A round makes a hundred thousand objects, none of them in circles.
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
    try:
        _work(keeper, stop)
    finally:
        heartbeat.stop()
        database.close()


def _work(keeper: Keeper, stop: threading.Event) -> None:
    while not stop.is_set():
        if not keeper.turn(now_ms()):
            stop.wait(PAUSE_SECONDS)
