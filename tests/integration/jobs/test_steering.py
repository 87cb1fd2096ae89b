"""A kind that decides when each device is started: times, canaries, later devices, both engines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.identity.actor import SYSTEM, Actor
from mooring.identity.scopes import Scope
from mooring.jobs import outcomes, target_store
from mooring.jobs.model import Job, NewJob, Outcome, Started, Target, Verdict
from mooring.jobs.rules import Facts, Plan, State, TargetState
from mooring.jobs.selection import selector
from mooring.jobs.worker import JobWorker
from mooring.store.engine import now_ms
from tests.integration.jobs.conftest import Stand

MINUTE = 60_000
FAST = Plan(pace=None, gate_done=0.5)


@dataclass
class Fake:
    """A kind whose answers a test decides."""

    answers: dict[str, Started] = field(default_factory=dict)
    canaries: set[int] | None = None
    said: Facts = field(default_factory=Facts)
    started: list[str] = field(default_factory=list)
    changes: list[tuple[str, Plan | None]] = field(default_factory=list)
    settled: list[Outcome] = field(default_factory=list)
    name: str = "fake"
    scope: Scope = Scope.OTA

    def check(self, actor: Actor, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        return dict(what)

    def title(self, what: Mapping[str, Any]) -> str:
        return "fake"

    def shown(self, connection: Connection, tenant: str, what: Mapping[str, Any]) -> dict[str, Any]:
        return dict(what)

    def chosen(
        self, connection: Connection, what: Mapping[str, Any], numbers: Sequence[int]
    ) -> Sequence[int]:
        return numbers

    def start(
        self, connection: Connection, job: Job, devices: Sequence[Device]
    ) -> Sequence[Started]:
        self.started += [device.name for device in devices]
        return [Started(TargetState.HANDED_OVER, f"fake:{device.id}") for device in devices]

    def withdraw(self, connection: Connection, references: Sequence[str]) -> None:
        cancelled = [Outcome(one, TargetState.CANCELLED) for one in references]
        outcomes.note(connection, cancelled)

    def verdicts(
        self, connection: Connection, asked: Sequence[tuple[str, int]]
    ) -> Mapping[str, Verdict]:
        return {reference: Verdict(None) for reference, _ in asked}

    def changed(self, connection: Connection, actor: Actor, job: Job, plan: Plan | None) -> None:
        self.changes.append((actor.name, plan))

    def first(
        self, connection: Connection, job: Job, numbers: Sequence[int]
    ) -> Collection[int] | None:
        return self.canaries

    def settle(self, connection: Connection, job: Job, at: int) -> None:
        outcomes.note(connection, self.settled)

    def facts(self, connection: Connection, job: Job, at: int) -> Facts:
        return self.said

    def check_devices(self, connection: Connection, job: Job) -> None:
        """Any devices will do."""

    def judge(
        self, connection: Connection, job: Job, devices: Sequence[Device], at: int
    ) -> Sequence[Started | None]:
        found = [self.answers.get(device.name) for device in devices]
        return [None if one is None else replace(one, not_before=at + MINUTE) for one in found]


class Bench:
    """The stand with that kind and a clock of its own."""

    def __init__(self, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stand, self.kind = stand, Fake()
        self.jobs = replace(stand.jobs, kinds={"fake": self.kind})
        app = stand.app
        self.worker = JobWorker(app.database, app.instance, app.settings, {"fake": self.kind})
        self.late = 0
        monkeypatch.setattr("mooring.jobs.worker.now_ms", lambda: now_ms() + self.late)

    def start(self, plan: Plan = FAST) -> Job:
        return self.jobs.start(SYSTEM, NewJob("fake", {}, selector("a", everyone=True), plan))

    def work(self) -> None:
        while self.worker.step():
            pass

    def later(self, ms: int = MINUTE) -> None:
        self.late += ms
        self.work()

    def job(self, job: Job) -> Job:
        return self.jobs.get(SYSTEM, job.id)

    def target(self, job: Job, name: str) -> Target:
        found = self.jobs.targets(SYSTEM, job.id, limit=500)
        return next(one for one in found if one.device == name)

    def ends(self, *devices: Device, state: TargetState = TargetState.SUCCEEDED) -> None:
        with self.stand.app.database.write() as connection:
            outcomes.note(connection, [Outcome(f"fake:{one.id}", state) for one in devices])
        self.work()


@pytest.fixture
def bench(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(stand, monkeypatch)


def test_a_device_that_has_to_wait_is_started_when_its_time_has_come(bench: Bench) -> None:
    bench.stand.devices(3)
    bench.kind.answers["lamp1"] = Started(TargetState.WAITING, cause="window", words="Not now.")
    job = bench.start()
    bench.work()
    assert sorted(bench.kind.started) == ["lamp0", "lamp2"]
    waiting = bench.target(job, "lamp1")
    assert (waiting.state, waiting.cause, waiting.attempts) == (TargetState.WAITING, "window", 0)
    assert waiting.not_before is not None
    assert waiting.handed_at is None
    bench.kind.answers.clear()
    bench.later(MINUTE // 2)
    assert "lamp1" not in bench.kind.started
    bench.later(MINUTE)
    started = bench.target(job, "lamp1")
    assert (started.state, started.cause, started.attempts) == (TargetState.HANDED_OVER, "", 1)
    assert started.not_before is None


def test_a_skipped_device_is_judged_again_while_the_job_runs(bench: Bench) -> None:
    bench.stand.devices(2)
    bench.kind.answers["lamp0"] = Started(TargetState.SKIPPED, cause="hardware_unknown")
    job = bench.start()
    bench.work()
    counts = bench.job(job).counts
    assert (counts.skipped, counts.handed_over) == (1, 1)
    bench.later()
    assert bench.target(job, "lamp0").state is TargetState.SKIPPED
    bench.kind.answers.clear()
    bench.later()
    counts = bench.job(job).counts
    assert (counts.skipped, counts.handed_over, counts.total) == (0, 2, 2)


def test_a_skipped_device_does_not_keep_a_job_open(bench: Bench) -> None:
    lamps = bench.stand.devices(2)
    bench.kind.answers["lamp0"] = Started(TargetState.SKIPPED, cause="already")
    job = bench.start()
    bench.work()
    bench.ends(lamps[1])
    assert bench.job(job).state is State.DONE


def test_a_device_that_is_woken_does_not_wait_for_its_time(bench: Bench) -> None:
    (lamp,) = bench.stand.devices(1)
    bench.kind.answers["lamp0"] = Started(TargetState.WAITING, cause="not_connected")
    job = bench.start()
    bench.work()
    bench.kind.answers.clear()
    with bench.stand.app.database.write() as connection:
        target_store.wake(connection, job.id, [lamp.id])
    bench.jobs.nudge(job.id)
    bench.work()
    assert bench.kind.started == ["lamp0"]


def test_only_devices_that_can_be_started_make_a_wave(bench: Bench) -> None:
    """Nine of ten are not there: the wave of one takes the tenth, whatever its place is."""
    lamps = bench.stand.devices(10)
    away = Started(TargetState.WAITING, cause="not_connected")
    bench.kind.answers |= {lamp.name: away for lamp in lamps[:9]}
    job = bench.start(replace(FAST, waves=(10.0, 100.0)))
    bench.work()
    assert bench.kind.started == ["lamp9"]
    bench.kind.answers.clear()
    bench.later()
    assert bench.kind.started == ["lamp9"]  # the wave is full
    bench.ends(lamps[9])
    assert len(bench.kind.started) == 10
    assert bench.job(job).wave == 1


def test_canaries_come_first(bench: Bench) -> None:
    lamps = bench.stand.devices(30)
    bench.kind.canaries = {lamps[7].id, lamps[23].id}
    bench.start(replace(FAST, waves=(5.0, 100.0)))
    bench.work()
    assert sorted(bench.kind.started) == ["lamp23", "lamp7"]


def test_nothing_is_started_while_the_kind_holds_the_job(bench: Bench) -> None:
    bench.stand.devices(2)
    bench.kind.said = Facts(held="not approved")
    job = bench.start()
    bench.work()
    assert bench.kind.started == []
    assert bench.job(job).counts.waiting == 2
    bench.kind.said = Facts()
    bench.jobs.nudge(job.id)
    bench.work()
    assert len(bench.kind.started) == 2


def test_a_kind_settles_what_counts_before_it_is_counted(bench: Bench) -> None:
    lamps = bench.stand.devices(2)
    job = bench.start()
    bench.work()
    bench.kind.settled = [Outcome(f"fake:{lamps[0].id}", TargetState.SUCCEEDED, "installed")]
    bench.jobs.nudge(job.id)
    bench.work()
    assert bench.job(job).counts.succeeded == 1


def test_devices_that_came_later_are_added_on_request(bench: Bench) -> None:
    lamps = bench.stand.devices(2)
    job = bench.start()
    bench.work()
    bench.ends(*lamps)
    assert bench.job(job).state is State.DONE
    late = bench.stand.device("late")
    bench.work()
    assert bench.job(job).counts.total == 2
    bench.jobs.add(SYSTEM, job.id)
    bench.work()
    now = bench.job(job)
    assert (now.state, now.counts.succeeded, now.counts.handed_over) == (State.RUNNING, 2, 1)
    assert now.finished_at is None
    assert bench.kind.started[-1] == late.name
    bench.ends(late)
    assert bench.job(job).state is State.DONE


def test_a_paused_job_takes_no_later_devices(bench: Bench) -> None:
    bench.stand.devices(1)
    job = bench.start()
    bench.work()
    bench.jobs.pause(SYSTEM, job.id)
    with pytest.raises(Exception, match="cannot be given later devices") as caught:
        bench.jobs.add(SYSTEM, job.id)
    assert getattr(caught.value, "slug", "") == "job_state"


def test_a_cancelled_job_ends_devices_that_wait(bench: Bench) -> None:
    bench.stand.devices(2)
    bench.kind.answers["lamp0"] = Started(TargetState.WAITING, cause="window")
    job = bench.start()
    bench.work()
    bench.jobs.cancel(SYSTEM, job.id)
    bench.work()
    counts = bench.job(job).counts
    assert (bench.job(job).state, counts.cancelled) == (State.CANCELLED, 2)
    assert bench.target(job, "lamp0").not_before is None
