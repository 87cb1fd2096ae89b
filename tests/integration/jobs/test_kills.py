"""A worker that dies at any statement: each device is started exactly once."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.commands.rules import Event
from mooring.store.leases import Lease
from mooring.store.schema import commands, job_targets
from tests.integration.device_settings.test_kills import Death, Killed
from tests.integration.jobs.conftest import FAST, Stand
from tests.integration.jobs.test_jobs import counts

STRIDE = 7  # statements; each round dies a little later


@pytest.fixture
def migrated_url(migrated_file: Path, tmp_path: Path) -> str:
    """SQLite alone: where a transaction ends is the same on both."""
    path = tmp_path / "mooring.db"
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture(autouse=True)
def any_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next worker need not wait until the lease of the dead one is over."""
    monkeypatch.setattr(Lease, "held", lambda *_a, **_k: True)


def killed_at(stand: Stand, stride: int, devices: int) -> int:
    lamps = stand.devices(devices)
    death = Death(stand.app.database.engine)
    at, killed, rounds = 0, True, 0
    while killed:
        at, killed, rounds = at + stride, False, rounds + 1
        job = stand.start(plan=FAST)
        for finishing in (False, True):
            worker = stand.new_worker()
            worker._batch = 2
            death.left = at
            try:
                stand.work(worker)
            except Killed:
                killed = True
            death.left = -1
            worker = stand.new_worker()
            stand.work(worker)
            if not finishing:
                assert counts(stand.job(job)) == {"handed_over": devices}
                stand.ends(job, Event.SUCCEEDED, *lamps)
        assert counts(stand.job(job)) == {"succeeded": devices}
        assert stand.job(job).state == "done"
        with stand.app.database.read() as connection:
            made = Counter(connection.execute(sa.select(commands.c.device_id)).scalars())
            wrong = connection.execute(
                sa.select(job_targets).where(job_targets.c.state != job_targets.c.counted)
            ).all()
        assert made == dict.fromkeys((lamp.id for lamp in lamps), rounds)
        assert wrong == []
    return at


def test_killed_at_any_statement_each_device_is_started_once(stand: Stand) -> None:
    assert killed_at(stand, STRIDE, 3) > 20


@pytest.mark.soak
def test_killed_at_every_single_statement(stand: Stand) -> None:
    assert killed_at(stand, 1, 7) > 60


def test_two_workers_that_both_believe_to_hold_the_lease(stand: Stand) -> None:
    """As after a pause of the machine."""
    stand.devices(6)
    job = stand.start(plan=FAST)
    workers: list[Any] = [stand.new_worker(), stand.new_worker()]
    for worker in workers:
        worker._batch = 2
    for _ in range(20):
        for worker in workers:
            worker.step()
    assert counts(stand.job(job)) == {"handed_over": 6}
    with stand.app.database.read() as connection:
        made = Counter(connection.execute(sa.select(commands.c.device_id)).scalars())
    assert set(made.values()) == {1}
