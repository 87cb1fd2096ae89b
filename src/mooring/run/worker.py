"""The worker process: work that does not belong to the broker's own process.

Each kind of work has a lease in the database, so a second worker, here or on another machine,
takes over what the first one leaves, and two of them never do the same thing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import partial

from mooring.app import App
from mooring.credentials.rotation.worker import Parts, RotationWorker
from mooring.downlink.worker import Sender
from mooring.errors import MooringError
from mooring.parts import PARTS
from mooring.run.broker import service_endpoint
from mooring.run.process import prepare
from mooring.serve.current import Current
from mooring.store.processes import Heartbeat
from mooring.supervisor import ending
from mooring.supervisor.rows import RowFaults
from mooring.supervisor.supervisor import Supervisor
from mooring.supervisor.worker import Worker

__all__ = ["main"]

log = logging.getLogger(__name__)

EXIT_SECONDS = 12.0  # for a database that does not answer
ROTATION_SECONDS = 0.25  # between two looks at rotations under way


def main(app: App) -> None:
    """Runs until SIGTERM or SIGINT."""
    prepare(app.settings)
    try:
        ending.run(_run(app))
    finally:
        ending.exit_within(EXIT_SECONDS, 1)


async def _run(app: App) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending.stopping_signals():
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor("worker")
    sender = Sender(
        app.database,
        app.instance,
        app.endpoint(f"mooring-{secrets.token_hex(16)}"),
    )
    heartbeat = Heartbeat(app.database, "worker", lambda: _detail(sender), supervisor.report)
    sender.on_state = heartbeat.nudge
    heartbeat.start()
    workers = [Worker("downlinks", sender.run)]
    if app.settings.broker == "managed":
        faults = RowFaults("the rotation of device")
        workers.append(Worker("rotations", lambda: _rotate(app, faults), rows=(faults,)))
    workers += [
        Worker(entry.name, partial(entry.run, app))
        for part in PARTS
        for entry in part.workers
        if entry.role == "worker" and entry.run is not None
    ]
    try:
        await supervisor.start(workers)
        await stop.wait()
    finally:
        await supervisor.stop()
        await asyncio.to_thread(heartbeat.stop)
    return 0


def _detail(sender: Sender) -> dict[str, object]:
    """Figures for ``status``. Another worker may hold the lease: then this one stands by."""
    if sender.holding is False:
        return {"downlinks": "another worker"}
    return {"connected": sender.link is not None, "downlinks_sent": sender.sent}


async def _rotate(app: App, faults: RowFaults) -> None:
    """Proves passwords and carries rotations through."""
    current = await asyncio.to_thread(Current, app)
    worker = RotationWorker(_parts(app), service_endpoint(app), faults=faults)
    held = app
    try:
        while True:
            try:
                now = await asyncio.to_thread(current.app) if current.due else current.held
                if now is not held:  # dialects were reloaded
                    held = now
                    worker.use(_parts(now))
                taken = await worker.step()
            except MooringError as exc:
                log.warning("rotations are delayed: %s", exc)
                taken = 0
                await asyncio.sleep(1)
            await asyncio.sleep(0.05 if taken else ROTATION_SECONDS)
    finally:
        await worker.close()


def _parts(app: App) -> Parts:
    return Parts(
        app.database, app.devices, app.instance, app.rotations, app.downlinks, app.settings
    )
