"""Guarded changes in any order: reports, refusals, sessions, the end of the guard, further changes,
a clock that steps, and a process that dies between two statements.

The model knows what a person wanted and what was before. The rules of the product are the test's
own here: what ends a guard is read from the database and held against what has happened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mooring import clock
from mooring.app import App, open_app
from mooring.device_settings import level_store, store
from mooring.device_settings.apply import Applying
from mooring.device_settings.levels import SettingsLevels
from mooring.device_settings.model import Change, Guard, Level
from mooring.device_settings.projection import SettingsReported
from mooring.device_settings.rules import Report, State
from mooring.device_settings.service import DeviceSettings
from mooring.device_settings.worker import SettingsWorker
from mooring.devices.model import NewDevice
from mooring.errors import Conflict
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from mooring.store.schema import audit, desired, device_settings_history, device_state
from tests.integration.device_settings.test_kills import Death, Killed

BEGIN_MS = 1_800_000_000_000
DAY_MS = 86_400_000
NAMES = ("attic", "cellar", "roof")
STATEMENTS = 60  # a kill comes with one of the first so many
KILLS = st.just(0) | st.just(0) | st.integers(1, STATEMENTS)
NUMBERS = count()


class Clock:
    """Stands for the machine's; moves only when it is told to."""

    def __init__(self) -> None:
        self.now = BEGIN_MS

    def __call__(self) -> int:
        return self.now


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs share: a database, and devices of their own on it."""

    app: App
    clock: Clock
    death: Death


@pytest.fixture
def bench(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """SQLite alone, whose commits do not wait for the disk here."""
    file = tmp_path / "mooring.db"
    shutil.copy(migrated_file, file)
    time = Clock()
    monkeypatch.setattr(clock, "_wall", time)
    made = Settings(
        data_dir=tmp_path / "data",
        database_url=f"sqlite:///{file}",
        device_settings_versions_kept=1_000,
        device_settings_per_second=100_000,
    )
    with open_app(made, upgrade=True) as app:
        clock.install(None)  # Mooring's own clock does not follow every step; this one does
        sa.event.listen(app.database.engine, "checkout", _no_disk)
        yield Bench(app, time, Death(app.database.engine))


def _no_disk(driver: Any, *_: Any) -> None:
    driver.execute("PRAGMA synchronous = OFF")


@dataclass(slots=True)
class Open:
    """A guarded change that is not over.

    Attributes:
        before: what the device's own level said before it.
        got: the session in which the device was given it.
        proved: the device has reported it in a later one.
        said: the device has reported it at all.
        stepped_back: the clock was set back since.
    """

    version: int
    until: int
    before: dict[str, Any]
    got: int | None = None
    proved: bool = False
    said: bool = False
    stepped_back: bool = False


class AnyOrder(RuleBasedStateMachine):
    """One device."""

    bench: Bench

    @initialize()
    def begin(self) -> None:
        app = self.app = self.bench.app
        self.clock, self.death = self.bench.clock, self.bench.death
        self.own, self.levels = app.service(DeviceSettings), app.service(SettingsLevels)
        self.tenant = f"t{next(NUMBERS)}"
        self.device = app.devices.add(SYSTEM, NewDevice("lamp", "mooring", self.tenant))[0].device
        self.reference = self.device.reference
        self.guard: Open | None = None
        self.ended: list[int] = []  # versions of guards that are over
        self.reverts = 0
        self.document: dict[str, Any] = {}  # of the device's own level
        self.history: list[dict[str, Any]] = []
        self.connected, self.sessions = False, 0
        self.has = 0  # the newest version that the device was given
        self.seq = 0
        self._worker()
        self.connects()

    def teardown(self) -> None:
        """When nobody dies any more and time goes on, everything comes to an end."""
        if not hasattr(self, "app"):
            return
        self.clock.now += DAY_MS + 1
        for _ in range(3):
            self.takes()
            self.work(0)
            self.each_change_is_one_version()
        assert self.guard is None
        with self.app.database.read() as connection:
            row = store.rows(connection, self.app.instance, [self.device.id]).get(self.device.id)
            kept = connection.execute(
                sa.select(desired.c.version, desired.c.payload).where(
                    desired.c.device_id == self.device.id
                )
            ).first()
        if row is None or row.record.version == 0:
            return
        assert kept is not None
        if row.record.state is State.STOPPED:
            assert kept.payload is None
        else:
            assert kept.version == row.record.version

    # ------------------------------------------------------------------ what happens

    @rule(name=st.sampled_from(NAMES), kill=KILLS)
    def change(self, name: str, kill: int) -> None:
        """A person changes the device's own level."""
        if self._dies(kill, lambda: self.own.change(SYSTEM, self.reference, _wifi(name))):
            return
        self.document = {"wifi": name}
        self._guard_is_over()

    @rule(name=st.sampled_from(NAMES), seconds=st.integers(30, 900), kill=KILLS)
    def guarded_change(self, name: str, seconds: int, kill: int) -> None:
        new = _wifi(name, seconds)
        try:
            if self._dies(kill, lambda: self.own.change(SYSTEM, self.reference, new)):
                return
        except Conflict as exc:
            assert exc.slug == "nothing_changed"
            return
        before = self.document if self.guard is None else self.guard.before
        self._guard_is_over()
        self.document = {"wifi": name}
        found = self._guard()
        assert found is not None
        assert found.document == before
        self.guard = Open(found.version, self.clock.now + seconds * 1000, before)

    @rule(name=st.sampled_from(NAMES), kill=KILLS)
    def change_of_the_tenant(self, name: str, kill: int) -> None:
        new = Change({"site": name})
        self._dies(
            kill,
            lambda: self.levels.change(SYSTEM, self.tenant, Level.TENANT, self.tenant, new),
        )

    @rule()
    def send_again(self) -> None:
        if self.history:
            self.own.resend(SYSTEM, self.reference)

    @rule()
    def takes(self) -> None:
        """The broker has every document; a connected device is given it."""
        with self.app.database.write() as connection:
            connection.execute(
                sa.update(desired)
                .where(desired.c.device_id == self.device.id)
                .values(pending=False)
            )
        self._give()

    @rule()
    def connects(self) -> None:
        """Also while its last session is open: it has lost that one."""
        self.connected = True
        self.sessions += 1
        self._session(connected=True)
        self._give()

    @rule()
    @precondition(lambda self: self.connected)
    def disconnects(self) -> None:
        self.connected = False
        self._session(connected=False)

    @rule(back=st.integers(0, 2), ok=st.booleans(), numbered=st.booleans())
    def reports(self, back: int, ok: bool, numbered: bool) -> None:
        """What it says may arrive when it is away already."""
        version = self.has - back
        if version < 1:
            return
        self.seq += 1
        at = self.clock.now
        words = "" if ok else "no such network"
        report = Report(version, ok, at, self.seq if numbered else None, words, "{}")
        with self.app.database.write() as connection:
            SettingsReported(self.app.instance).apply(connection, [(self.device.id, report)])
        guard = self.guard
        if ok and guard is not None and version >= guard.version:
            guard.said = True
            guard.proved = guard.proved or self._is_later(guard)

    @rule(seconds=st.integers(1, 1000))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds * 1000

    @rule(seconds=st.integers(1, 1000))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self.clock.now -= seconds * 1000
        if self.guard is not None:
            self.guard.stepped_back = True

    @rule(kill=KILLS, again=st.booleans())
    def follows(self, kill: int, again: bool) -> None:
        """A device as it should be gets the newest version and reports it; the worker looks."""
        if again or not self.connected:
            self.connects()
        self.takes()
        self.reports(back=0, ok=True, numbered=True)
        self.work(kill)

    @rule(kill=KILLS)
    def work(self, kill: int) -> None:
        """What is due, up to the statement with which the worker dies."""
        guard = self.guard
        before, row = self._own_version(), self._row()
        self._dies(kill, self._step)
        if guard is None or self._guard() is not None:
            return
        if self._own_version() == before:  # it stays
            # A report that was dated later than the session that follows counts for that one.
            dated = guard.stepped_back and guard.said and self._is_later(guard)
            assert guard.proved or dated, guard
        else:
            refused = row is not None and row.record.state in (State.REFUSED, State.STOPPED)
            assert self.clock.now >= guard.until or refused, guard
            self.document = guard.before
            self.reverts += 1
        self._guard_is_over()

    # ------------------------------------------------------------------ what is always so

    @invariant()
    def each_change_is_one_version(self) -> None:
        with self.app.database.read() as connection:
            rows = connection.execute(
                sa.select(device_settings_history.c.version)
                .where(device_settings_history.c.device_id == self.device.id)
                .order_by(device_settings_history.c.version)
            ).scalars()
            versions = list(rows)
            entries = store.history(connection, self.app.instance, self.device.id, limit=1_000)
        documents = [dict(one.document) for one in reversed(entries)]
        assert versions == list(range(1, len(versions) + 1))
        assert documents[: len(self.history)] == self.history, "a version has changed"
        assert all(one != other for one, other in pairwise(documents))
        self.history = documents
        row = self._row()
        assert (row.record.version if row is not None else 0) == len(versions)
        assert row is None or not documents or row.document == documents[-1]

    @invariant()
    def the_level_says_what_was_wanted_or_what_was_before(self) -> None:
        with self.app.database.read() as connection:
            found = level_store.own_levels(connection, self.app.instance, [self.device.id])
        own = found.get(self.device.id)
        assert (dict(own.document) if own is not None else {}) == self.document
        guard = own.guard if own is not None else None
        assert (guard.version if guard is not None else None) == (
            self.guard.version if self.guard is not None else None
        )
        assert guard is None or guard.version not in self.ended, "a guard began again"
        with self.app.database.read() as connection:
            reverts = connection.execute(
                sa.select(sa.func.count()).where(
                    audit.c.action == "settings.revert", audit.c.subject == self.reference
                )
            ).scalar_one()
        assert reverts == self.reverts, "a guard has ended twice"

    # ------------------------------------------------------------------ inside

    def _dies(self, kill: int, work: Callable[[], object]) -> bool:
        """Whether it did; the next one begins from what is committed."""
        self.death.left = kill or -1
        try:
            work()
        except Killed:
            self._worker()
            return True
        finally:
            self.death.left = -1
        return False

    def _worker(self) -> None:
        applying = self.app.service(Applying)
        self.worker = SettingsWorker(self.app.database, applying, self.app.settings, batch=2)

    def _step(self) -> None:
        while self.worker.step():
            pass

    def _give(self) -> None:
        """The device gets what the broker retains for it: never an older version."""
        if not self.connected:
            return
        with self.app.database.read() as connection:
            kept = connection.execute(
                sa.select(desired.c.version, desired.c.payload, desired.c.pending).where(
                    desired.c.device_id == self.device.id
                )
            ).first()
        if kept is None or kept.payload is None or kept.pending:
            return
        assert kept.version >= self.has, "a lower version after a higher one"
        assert json.loads(kept.payload).get("config", {}) == self.history[kept.version - 1]
        self.has = kept.version
        if self.guard is not None and self.guard.got is None and self.has >= self.guard.version:
            self.guard.got = self.sessions

    def _is_later(self, guard: Open) -> bool:
        return guard.got is not None and self.sessions > guard.got

    def _session(self, *, connected: bool) -> None:
        values = {"connected": connected, "connected_at": self.clock.now}
        with self.app.database.write() as connection:
            where = device_state.c.device_id == self.device.id
            changed = connection.execute(sa.update(device_state).where(where).values(values))
            if not changed.rowcount:
                row = {"device_id": self.device.id, **values}
                connection.execute(sa.insert(device_state).values(row))

    def _guard_is_over(self) -> None:
        if self.guard is not None:
            self.ended.append(self.guard.version)
        self.guard = None

    def _guard(self) -> Guard | None:
        with self.app.database.read() as connection:
            found = level_store.own_levels(connection, self.app.instance, [self.device.id])
        own = found.get(self.device.id)
        return None if own is None else own.guard

    def _own_version(self) -> int:
        with self.app.database.read() as connection:
            found = level_store.own_levels(connection, self.app.instance, [self.device.id])
        own = found.get(self.device.id)
        return 0 if own is None else own.version

    def _row(self) -> Any:
        with self.app.database.read() as connection:
            return store.rows(connection, self.app.instance, [self.device.id]).get(self.device.id)


def _wifi(name: str, guard_s: int = 0) -> Change:
    return Change({"wifi": name}, guard_ms=guard_s * 1000)


def test_guarded_changes_in_any_order(bench: Bench) -> None:
    class OnBench(AnyOrder):
        pass

    OnBench.bench = bench
    run_state_machine_as_test(
        OnBench, settings=hypothesis_settings(max_examples=15, stateful_step_count=25)
    )
