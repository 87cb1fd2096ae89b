"""The processes of a rollout die at any statement: nobody is forgotten, nobody is offered twice at
once, and the counts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import open_app
from mooring.clock import now_ms
from mooring.downlink.rules import State as DownlinkState
from mooring.jobs.selection import selector
from mooring.jobs.worker import JobWorker
from mooring.ota.rollouts.model import PLAN, NewRollout
from mooring.ota.updates import rules, store
from mooring.ota.updates.moving import record
from mooring.ota.updates.rules import Event
from mooring.ota.updates.worker import UpdateKeeper
from mooring.settings import Settings
from mooring.store.leases import Lease
from mooring.store.schema import downlinks, firmware_updates, job_targets
from tests.integration.device_settings.test_kills import Death, Killed
from tests.integration.ota.test_rollouts import ADA, Bench
from tests.support.ports import free_port

STEPS = replace(PLAN, pace=None, soak_ms=0, waves=(50.0, 100.0), gate_done=1.0)
OPEN = [
    one.value
    for one in (
        *(DownlinkState.QUEUED, DownlinkState.WAITING, DownlinkState.SENDING, DownlinkState.HELD),
    )
]


@pytest.fixture
def bench(tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The next process need not wait until the lease of the dead one is over."""
    monkeypatch.setattr(Lease, "held", lambda *_a, **_k: True)
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        http_url="https://m.example",
    )
    with open_app(settings, upgrade=True) as app:
        yield Bench(app)


class Dying:
    """The stages of a rollout, each done by a process that dies in it, and by another one.

    Args:
        at: the statement of each stage at which it dies.
    """

    def __init__(self, bench: Bench, death: Death, at: int, job: int) -> None:
        self.bench, self.death, self.at, self.job = bench, death, at, job
        self.killed = False

    def stage(self, work: Callable[[], None]) -> None:
        self.death.left = self.at
        try:
            work()
        except Killed:
            self.killed = True
        finally:
            self.death.left = -1
        self.check()
        work()
        self.check()

    # ------------------------------------------------------------------ stages

    def offer(self) -> None:
        app = self.bench.app
        worker = JobWorker(app.database, app.instance, app.settings, {"firmware": self.bench.kind})
        while worker.step():
            pass

    def send(self) -> None:
        self.bench.sender = self.bench.new_sender()
        self.bench.send(3)

    def offer_again(self) -> None:
        """No device has answered in time."""
        c = firmware_updates.c
        with self.bench.app.database.write() as connection:
            connection.execute(
                sa.update(firmware_updates)
                .where(c.job_id == self.job, c.state == "offered", c.offers == 1)
                .values(due_at=1)
            )
        keeper = UpdateKeeper(self.bench.updates)
        while keeper.step():
            pass

    def confirm(self) -> None:
        """The devices install what they were offered, one after the other."""
        app = self.bench.app
        with app.database.read() as connection:
            found = store.listed(connection, ADA, limit=500, job_id=self.job)
        for one in found:
            if one.over:
                continue
            after = one
            for event in (Event.INSTALLED, Event.PROVED):
                after = rules.advance(after, event, now_ms(), self.bench.updates.waits) or after
            with app.database.write() as connection:
                record(connection, [(one, after)])

    # ------------------------------------------------------------------ what holds after each

    def check(self) -> None:
        with self.bench.app.database.read() as connection:
            open_ = connection.execute(
                sa.select(downlinks.c.device_id).where(
                    downlinks.c.origin == "firmware", downlinks.c.state.in_(OPEN)
                )
            )
            twice = [one for one, times in Counter(open_.scalars()).items() if times > 1]
            u = firmware_updates.c
            made = connection.execute(sa.select(u.device_id).where(u.job_id == self.job))
            several = [one for one, times in Counter(made.scalars()).items() if times > 1]
            t = job_targets.c
            handed = connection.execute(
                sa.select(t.reference).where(t.job_id == self.job, t.state == "handed_over")
            ).scalars()
        assert twice == [], "two offers of a device wait at once"
        assert several == [], "a device has two updates of one rollout"
        assert all(handed), "a device without an update waits for its outcome"


def killed_at(bench: Bench, stride: int, devices: int) -> int:
    """Rollouts, one after the other, whose processes die a little later in each; how late."""
    fleet = bench.fleet(devices, firmware="1.0")
    for device in fleet:
        bench.listens(device)
    death = Death(bench.app.database.engine)
    at, killed, number = 0, True, 0
    while killed:
        at, number = at + stride, number + 1
        release = bench.release(f"2.{number}")
        new = NewRollout(release.reference, selector("home", everyone=True), STEPS)
        rollout = bench.rollouts.create(ADA, new)
        dying = Dying(bench, death, at, rollout.id)
        for _wave in STEPS.waves:
            for work in (dying.offer, dying.send, dying.offer_again, dying.send, dying.confirm):
                dying.stage(work)
        dying.stage(dying.offer)  # it counts the last outcomes
        killed = dying.killed
        assert bench.counts(rollout) == {"succeeded": devices}
        assert bench.of(rollout).job.state == "done"
        ids = {body["id"] for _, body, _ in bench.link.sent if body["version"] == release.version}
        assert len(ids) == devices
    return at


def test_killed_at_any_statement_each_device_is_updated_once(bench: Bench) -> None:
    assert killed_at(bench, 29, 3) > 29


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_at_nearly_every_statement(bench: Bench) -> None:
    assert killed_at(bench, 2, 5) > 60
