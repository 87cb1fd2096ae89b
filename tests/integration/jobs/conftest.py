"""Jobs on a database of their own, on both engines, stepped by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mooring.app import open_app
from mooring.commands.changes import apply
from mooring.commands.moving import record
from mooring.commands.rules import Event
from mooring.commands.store import one as command_row
from mooring.devices.model import Device
from mooring.identity.actor import SYSTEM, Actor
from mooring.jobs.model import Job, NewJob, Target
from mooring.jobs.rules import Plan
from mooring.jobs.selection import selector
from mooring.jobs.service import Jobs
from mooring.jobs.worker import JobWorker
from mooring.settings import Settings
from mooring.store.engine import now_ms
from tests.integration.commands.conftest import Stand as CommandStand
from tests.support.ports import free_port

FAST = Plan(pace=None)


class Stand(CommandStand):
    """A platform without processes, with the worker of jobs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.jobs = self.app.service(Jobs)
        self.worker = self.new_worker()

    def new_worker(self) -> JobWorker:
        app = self.app
        return JobWorker(app.database, app.instance, app.settings, app.job_kinds())

    def devices(self, number: int, dialect: str = "mooring") -> list[Device]:
        return [self.device(f"lamp{n}", dialect) for n in range(number)]

    def start(
        self,
        kind: str = "command",
        what: dict[str, Any] | None = None,
        *,
        actor: Actor = SYSTEM,
        plan: Plan = FAST,
        tenant: str = "a",
        **more: Any,
    ) -> Job:
        what = {"name": "reboot"} if what is None else what
        chosen = more.pop("selection", {"everyone": True})
        return self.jobs.start(actor, NewJob(kind, what, selector(tenant, **chosen), plan, **more))

    def work(self, worker: JobWorker | None = None) -> None:
        """Until nothing is left to do now."""
        while (worker or self.worker).step():
            pass

    def job(self, job: Job) -> Job:
        return self.jobs.get(SYSTEM, job.id)

    def targets(self, job: Job) -> Sequence[Target]:
        return self.jobs.targets(SYSTEM, job.id, limit=500)

    def target(self, job: Job, device: Device) -> Target:
        return next(one for one in self.targets(job) if one.device_id == device.id)

    def ends(self, job: Job, event: Event, *devices: Device) -> None:
        """The commands of the job to these devices end so."""
        numbers = [
            int(str(one.reference).partition(":")[2])
            for one in self.targets(job)
            if one.device_id in {device.id for device in devices}
        ]
        with self.app.database.write() as connection:
            changes = []
            for number in numbers:
                command = command_row(connection, number, lock=True)
                assert command is not None
                changed = apply(command, event, now_ms(), self.commands.waits, detail="so")
                assert changed is not None
                changes.append((command, changed))
            record(connection, changes)


@pytest.fixture
def stand(tmp_path: Path, migrated_url: str) -> Iterator[Stand]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        commands_max_per_device=20,
        jobs_max_per_tenant=4,
        jobs_kept_per_tenant=3,
        job_targets_max=1200,
    )
    with open_app(settings, upgrade=True) as app:
        yield Stand(app)
