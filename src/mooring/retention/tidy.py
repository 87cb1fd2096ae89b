"""Deletes what no term covers: finished records, rows of removed devices, surplus rows.

Each job is a generator that yields after every short transaction, so the keeper can do other
work in between. A job that finds nothing costs one indexed question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mooring.retention import quota
from mooring.retention import tidy_store as store
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.supervisor.rows import RowFaults

__all__ = ["FAULTS", "FORMER_MAX", "JOBS", "OFTEN", "ROTATIONS_MAX", "Tidied", "tidy"]

DAY_MS = 86_400_000
FAULTS = "the clean-up"
FORMER_MAX = 10  # given-up passwords of one device that still recover it
ROTATIONS_MAX = 100  # finished rotations kept of one device
PIECE = 500  # rows in one transaction
LOOK = 5_000  # rows looked at in one question


@dataclass(slots=True)
class Tidied:
    """Rows deleted so far, by table."""

    rows: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, rows: int) -> None:
        if rows:
            self.rows[table] = self.rows.get(table, 0) + rows

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True, slots=True)
class _Run:
    database: Database
    settings: Settings
    now: int
    done: Tidied

    @property
    def records_before(self) -> int:
        return self.now - self.settings.records_days * DAY_MS


Job = Callable[[_Run], Iterator[None]]


def tidy(
    database: Database,
    settings: Settings,
    now: int,
    jobs: Sequence[Job] | None = None,
    faults: RowFaults | None = None,
) -> Iterator[Tidied]:
    """One whole run over every job; yields after each transaction.

    Args:
        now: epoch milliseconds; the caller has checked that the clock is plausible.
        jobs: some of ``JOBS``; all by default.
        faults: jobs that failed; the others are done all the same.

    Raises:
        DatabaseUnavailable: what was deleted stays deleted; the next run does the rest.
    """
    run = _Run(database, settings, now, Tidied())
    failed = faults or RowFaults(FAULTS)
    for job in JOBS if jobs is None else jobs:
        with failed.isolated(job.__name__.strip("_")):
            for _ in job(run):
                yield run.done
    yield run.done


def _expired(run: _Run) -> Iterator[None]:
    """Records that are finished and older than ``records_days``."""
    for which in store.finished(run.records_before, run.now):
        while True:
            with run.database.write() as connection:
                gone = store.delete_some(connection, which, PIECE)
            run.done.add(which.table.name, gone)
            yield
            if gone < PIECE:
                break


def _surplus_per_device(run: _Run) -> Iterator[None]:
    """More rows of a device than are kept of one: the oldest go."""
    limits = (
        (store.OF_FORMER, FORMER_MAX),
        (store.OF_ROTATIONS, ROTATIONS_MAX),
        (store.OF_DEAD_LETTERS, run.settings.dead_letters_max_per_device),
        (store.OF_DOWNLINKS, run.settings.downlinks_kept_per_device),
        (store.OF_COMMANDS, run.settings.commands_kept_per_device),
        (store.OF_UPDATES, run.settings.firmware_updates_kept_per_device),
        (store.OF_ALERTS, run.settings.alerts_kept_per_device),
    )
    for which, most in limits:
        with run.database.read() as connection:
            crowded = store.crowded(connection, which, most)
        yield
        for device, rows in crowded:
            surplus = rows - most
            while surplus > 0:
                with run.database.write() as connection:
                    gone = store.delete_oldest(connection, which, device, min(surplus, PIECE))
                run.done.add(which.table.name, gone)
                surplus = surplus - gone if gone else 0
                yield


def _dead_letter_bytes(run: _Run) -> Iterator[None]:
    """While dead letters take more bytes than allowed, the device with most gives half."""
    kept, most = run.settings.dead_letter_max_bytes, run.settings.dead_letters_max_bytes
    while True:
        with run.database.read() as connection:
            total, largest = store.dead_letter_bytes(connection, kept)
        yield
        if total <= most or largest is None:
            return
        device, rows = largest
        surplus = max(1, rows // 2)
        while surplus > 0:
            with run.database.write() as connection:
                gone = store.delete_oldest(
                    connection, store.OF_DEAD_LETTERS, device, min(surplus, PIECE)
                )
            run.done.add("dead_letters", gone)
            surplus = surplus - gone if gone else 0
            yield


def _quotas(run: _Run) -> Iterator[None]:
    """Tenants above their limits of stored bytes."""
    yield from quota.messages(run.database, run.settings, run.now, run.done.add)
    yield from quota.dead_letters(run.database, run.settings, run.done.add)


def _removed_devices(run: _Run) -> Iterator[None]:
    """Removed devices whose messages are gone, too."""
    after = 0
    while True:
        with run.database.write() as connection:
            after, gone = store.delete_silent_removed(connection, after, LOOK)
        run.done.add("removed_devices", gone)
        yield
        if not after:
            return


def _audit(run: _Run) -> Iterator[None]:
    """Failed logins have a share of their own, so that they displace nothing else."""
    for which, most in (
        (store.AUDIT_FAILURES, run.settings.audit_failures_max),
        (store.AUDIT_ALL, run.settings.audit_max),
    ):
        with run.database.read() as connection:
            before = store.surplus_before(connection, which, most)
        yield
        while before is not None:
            with run.database.write() as connection:
                gone = store.delete_some(connection, which.below(before), PIECE)
            run.done.add("audit", gone)
            yield
            if gone < PIECE:
                break


def _orphans(run: _Run) -> Iterator[None]:
    """Rows of devices that are gone, written by a process that did not know yet."""
    for table in store.OF_DEVICES:
        after = 0
        while True:
            with run.database.read() as connection:
                seen, orphans = store.orphans(connection, table, after, LOOK)
            yield
            if orphans:
                with run.database.write() as connection:
                    run.done.add(table.name, store.delete_orphans(connection, table, orphans))
                yield
            if not seen:
                break
            after = seen[-1]


def _sightings(run: _Run) -> Iterator[None]:
    """Of removed devices, written by a process that did not know yet."""
    after = ""
    while True:
        with run.database.write() as connection:
            after, gone = store.delete_orphaned_sightings(connection, after, LOOK)
        run.done.add("sightings", gone)
        yield
        if not after:
            return


def _metric_names(run: _Run) -> Iterator[None]:
    """Names that no device has any more."""
    after = 0
    while True:
        with run.database.write() as connection:
            after, gone = store.delete_unused_metrics(connection, after, LOOK)
        run.done.add("metrics", gone)
        yield
        if not after:
            return


JOBS: tuple[Job, ...] = (
    _expired,
    _surplus_per_device,
    _dead_letter_bytes,
    _quotas,
    _audit,
    _orphans,
    _removed_devices,
    _sightings,
    _metric_names,
)
# What devices can fill within minutes.
OFTEN: tuple[Job, ...] = (_surplus_per_device, _dead_letter_bytes, _quotas, _audit)
