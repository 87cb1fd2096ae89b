"""The worker process: work that does not belong to the broker's own process.

Each kind of work has a lease in the database, so a second worker, here or on another machine,
takes over what the first one leaves, and two of them never do the same thing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable
from functools import partial

import uvloop

from mooring.app import App
from mooring.commands.moving import CommandOwner
from mooring.commands.service import Commands
from mooring.commands.worker import CommandKeeper
from mooring.credentials.rotation.worker import Parts, RotationWorker
from mooring.dialects import Catalogue
from mooring.downlink.desired.worker import DesiredKeeper
from mooring.downlink.gate import ConnectedGate, Ears
from mooring.downlink.owners import LiveOwners
from mooring.downlink.plugin_gate import PluginEars, PluginGate
from mooring.downlink.protocol import Gate
from mooring.downlink.worker import Sender
from mooring.errors import MooringError
from mooring.jobs.worker import JobWorker
from mooring.ota.updates.moving import UpdateOwner
from mooring.ota.updates.service import Updates, waits_of
from mooring.ota.updates.worker import UpdateKeeper
from mooring.parts import PARTS
from mooring.run.process import prepare
from mooring.serve.current import LOOK_SECONDS, Current
from mooring.store.lookout import Lookout
from mooring.store.processes import Heartbeat
from mooring.store.wake import Waker
from mooring.supervisor import ending
from mooring.supervisor.rows import RowFaults
from mooring.supervisor.supervisor import Supervisor
from mooring.supervisor.worker import Worker
from mooring.wiring.broker import service_endpoint

__all__ = ["main"]

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.001
"""For so long a thread that works with rows keeps the interpreter from the event loop, which hands
messages over meanwhile. Python's own 5 ms delay each answer of the broker by as much."""
EXIT_SECONDS = 12.0  # for a database that does not answer
ASLEEP_SECONDS = 2.0  # between two looks when no rotation is under way and nobody commits
ROTATION_SECONDS = 0.25  # between two looks at rotations under way


def main(app: App) -> None:
    """Runs until SIGTERM or SIGINT."""
    prepare(app.settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        ending.run(_run(app), uvloop.new_event_loop)
    finally:
        ending.exit_within(EXIT_SECONDS, 1)


async def _run(app: App) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending.stopping_signals():
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor("worker")
    current = await asyncio.to_thread(Current, app)
    documents = DesiredKeeper(
        app.database,
        app.instance,
        service_endpoint(app),
        lambda: _retained_filters(current.held.catalogue),
        compare_seconds=app.settings.broker_compare_seconds,
    )
    ears, gate = _gate(app)
    sender = Sender(
        app.database,
        app.instance,
        app.endpoint(f"mooring-{secrets.token_hex(16)}"),
        desired=documents,
        gate=gate,
        live=LiveOwners(CommandOwner(app.settings), (UpdateOwner(waits_of(app.settings)),)),
        ears=ears,
    )
    keeper = CommandKeeper(app.service(Commands))
    updates = UpdateKeeper(app.service(Updates))
    jobs = JobWorker(app.database, app.instance, app.settings, app.job_kinds())
    heartbeat = Heartbeat(
        app.database, "worker", lambda: _detail(sender, current), supervisor.report
    )
    sender.on_state = heartbeat.nudge
    heartbeat.start()
    workers = [
        Worker("downlinks", sender.run, rows=(documents.faults,)),
        Worker("commands", keeper.run, rows=(keeper.faults,)),
        Worker("firmware updates", updates.run, rows=(updates.faults,)),
        Worker("jobs", jobs.run, rows=(jobs.faults,)),
        Worker("dialects", lambda: _follow_dialects(current, heartbeat.nudge, jobs, updates)),
    ]
    if app.settings.broker == "managed":
        faults = RowFaults("the rotation of device")
        workers.append(Worker("rotations", lambda: _rotate(current, faults), rows=(faults,)))
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


def _gate(app: App) -> tuple[Ears, Gate]:
    """Where the broker loads Mooring's plugin, it knows which devices listen."""
    if app.settings.broker == "managed" and app.settings.authority == "plugin":
        ears = PluginEars()
        connected = ConnectedGate(app.database)
        # The authority may change while this process runs.
        return ears, PluginGate(
            ears, lambda: None if app.settings.authority == "plugin" else connected
        )
    return Ears(), ConnectedGate(app.database)


def _detail(sender: Sender, current: Current) -> dict[str, object]:
    """Figures for ``status``. Another worker may hold the lease: then this one stands by."""
    read = {"dialects_read": current.version} if current.version >= 0 else {}
    if sender.holding is False:
        return {"downlinks": "another worker", **read}
    return {"connected": sender.link is not None, "downlinks_sent": sender.sent, **read}


async def _follow_dialects(
    current: Current, changed: Callable[[], None], jobs: JobWorker, updates: UpdateKeeper
) -> None:
    """Until cancelled: dialects that are reloaded are used from then on."""
    before = current.version
    while True:
        await asyncio.to_thread(current.app)
        if current.version != before:
            before = current.version
            jobs.use(current.held.job_kinds())
            updates.use(current.held.service(Updates))
            changed()
        await asyncio.sleep(LOOK_SECONDS)


def _retained_filters(catalogue: Catalogue) -> list[str]:
    """Where the documents of dialects are."""
    return [
        channel.filter
        for dialect in catalogue.all()
        for channel in dialect.downs()
        if channel.retain
    ]


async def _rotate(current: Current, faults: RowFaults) -> None:
    """Proves passwords and carries rotations through."""
    held = current.held
    worker = RotationWorker(_parts(held), service_endpoint(held), faults=faults)
    lookout = Lookout(held.database)
    waker = Waker(held.database.wake_folder)
    try:
        while True:
            try:
                if current.held is not held:  # dialects were reloaded
                    held = current.held
                    worker.use(_parts(held))
                taken = await worker.step() if await worker.is_needed(lookout) else 0
            except MooringError as exc:
                log.warning("rotations are delayed: %s", exc)
                taken = 0
                await asyncio.sleep(1)
            if worker.active:  # what it waits for need not be a commit
                await asyncio.sleep(0.05 if taken else ROTATION_SECONDS)
            else:
                await waker.wait(ROTATION_SECONDS, asleep=ASLEEP_SECONDS)
    finally:
        waker.close()
        lookout.close()
        await worker.close()


def _parts(app: App) -> Parts:
    return Parts(
        app.database, app.devices, app.instance, app.rotations, app.downlinks, app.settings
    )
