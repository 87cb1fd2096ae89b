"""What a rollout costs the worker: while nothing happens, and while devices are judged and offered.

``python -m bench.rollouts``: an SQLite database with 10,000 devices, and the worker's turns called
one after the other. *Idle* is a rollout whose devices are all away: the share of one core that
looking for those that have come takes. *A step* is one turn, in milliseconds for each 1,000 devices
it looks at: *judged* devices that have to wait, *offered* devices that get an update and its offer.
*Keeper* is what following all updates takes while none of their devices does anything.
*Pure* are the rules alone, for ten thousand simulated devices of which 5 % fail. All of it is time
of the processor, so a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.identity.actor import SYSTEM
from mooring.jobs.selection import selector
from mooring.jobs.worker import JobWorker
from mooring.ota.releases.model import NewRelease
from mooring.ota.releases.service import Releases
from mooring.ota.releases.states import Step
from mooring.ota.rollouts.jobs import LOOK_MS, LOOK_MS_EACH
from mooring.ota.rollouts.model import PLAN, NewRollout
from mooring.ota.rollouts.service import Rollouts
from mooring.ota.updates.service import Updates
from mooring.ota.updates.worker import UpdateKeeper
from mooring.settings import Settings
from mooring.store.leased import RENEW_SECONDS
from mooring.store.schema import device_state, devices, tenants
from tests.support.rollout_model import Fleet

__all__ = ["main", "measure"]

TENANT = "home"
LOOKS = 10


def measure(folder: Path, number: int) -> dict[str, float]:
    """Milliseconds for each 1,000 devices and step, and the share of a core while idle."""
    settings = Settings(
        data_dir=folder,
        firmware_signatures="optional",
        http_url="https://mooring.example",
        firmware_updates_max_per_tenant=10 * number,
        downlinks_max_per_tenant=10 * number,
    )
    with open_app(settings, upgrade=True) as app:
        _devices(app, number)
        worker = JobWorker(app.database, app.instance, app.settings, app.job_kinds())
        job = _rollout(app)
        listed = _timed(worker, 1 + -(-number // 500))
        began, steps = time.process_time(), 0
        while worker.step():
            steps += 1
        judged = time.process_time() - began
        looks = [_look(app, worker, job) for _ in range(LOOKS)]
        _connect(app)
        app.service(Rollouts).jobs.nudge(job)
        began, steps = time.process_time(), 0
        while worker.step():
            steps += 1
        offered = time.process_time() - began
        counts = app.service(Rollouts).get(SYSTEM, job).job.counts
        assert counts.handed_over == number, counts
        kept = _kept(app)
    thousands = number / 1000
    return {
        "devices": number,
        "listed_ms_per_1000": listed / thousands,
        "judged_ms_per_1000": judged * 1000 / thousands,
        "offered_ms_per_1000": offered * 1000 / thousands,
        "idle_look_ms": sorted(looks)[LOOKS // 2],
        "idle_share_of_a_core": sorted(looks)[LOOKS // 2] / max(LOOK_MS, LOOK_MS_EACH * number),
        "keeper_look_ms": kept,
        "keeper_share_of_a_core": kept / (RENEW_SECONDS * 1000),
    }


def _timed(worker: JobWorker, turns: int) -> float:
    began = time.process_time()
    for _ in range(turns):
        worker.step()
    return (time.process_time() - began) * 1000


def _look(app: App, worker: JobWorker, job: int) -> float:
    app.service(Rollouts).jobs.nudge(job)
    began = time.process_time()
    worker.step()
    return (time.process_time() - began) * 1000


def _kept(app: App) -> float:
    """One look of the keeper of updates, while every device has one and none has done anything."""
    keeper = UpdateKeeper(app.service(Updates))
    while keeper.step():
        pass
    took = []
    for _ in range(LOOKS):
        began = time.process_time()
        keeper.step()
        took.append((time.process_time() - began) * 1000)
    return sorted(took)[LOOKS // 2]


def _devices(app: App, number: int) -> None:
    rows = [
        {
            "tenant": TENANT,
            "name": f"trap{n}",
            "scope": f"tenant {TENANT}",
            "dialect": "mooring",
            "username": f"{TENANT}:trap{n}",
            "client_id": f"trap{n}",
            "created_at": 1,
        }
        for n in range(number)
    ]
    with app.database.write() as connection:
        connection.execute(sa.insert(tenants).values(name=TENANT, created_at=1, devices=number))
        connection.execute(sa.insert(devices), rows)
        numbers = connection.execute(sa.select(devices.c.id)).scalars().all()
        state = {"firmware": "1.4.0", "connected": False, "connected_at": 1}
        connection.execute(
            sa.insert(device_state), [{"device_id": one, **state} for one in numbers]
        )


def _connect(app: App) -> None:
    with app.database.write() as connection:
        connection.execute(sa.update(device_state).values(connected=True))


def _rollout(app: App) -> int:
    releases = app.service(Releases)
    made = releases.create(SYSTEM, NewRelease("trap", "1.5.0", TENANT))
    with releases.files.receive(1 << 20) as incoming:
        incoming.write(b"\x55" * 1000)
        releases.add_file(SYSTEM, str(made.id), "app.bin", incoming)
    releases.step(SYSTEM, str(made.id), Step.PUBLISH, unsigned=True)
    plan = replace(PLAN, pace=None, at_once=None, waves=(100.0,))
    new = NewRollout("trap:1.5.0", selector(TENANT, everyone=True), plan)
    return app.service(Rollouts).create(SYSTEM, new).id


def measure_rules(number: int) -> dict[str, float]:
    """The rules alone: milliseconds of a whole rollout, and microseconds of one step."""
    fleet = Fleet(number, replace(PLAN, stop_share=None, gate_share=0.9), away=0.1, skipped=0.02)
    began = time.process_time()
    fleet.run()
    took = time.process_time() - began
    return {"rules_ms": took * 1000, "rules_us_per_step": took * 1e6 / fleet.turns}


def main() -> None:
    """Prints one JSON document."""
    made = argparse.ArgumentParser(prog="python -m bench.rollouts", description=__doc__)
    made.add_argument("--devices", type=int, default=10_000)
    options = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="mooring-rollouts-") as folder:
        found: dict[str, Any] = measure(Path(folder), options.devices)
    found |= measure_rules(options.devices)
    json.dump({name: round(value, 4) for name, value in found.items()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
