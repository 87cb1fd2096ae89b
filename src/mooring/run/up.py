"""``mooring up``: broker, ingest, HTTP and keeper as one platform, until Ctrl-C.

The flow, from top to bottom: take the data directory, bring the database to its schema, write
the broker's files while it stands still, start the parts in order and wait until each is
really ready, say where everything is, then keep it running and make the broker follow the
database. Stopping goes the other way round.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from mooring import logs, running
from mooring.app import App, open_app
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.ports import check_free
from mooring.broker.process import BrokerProcess
from mooring.broker.protocol import Account
from mooring.errors import MooringError, Unavailable
from mooring.rotation.worker import Parts, RotationWorker
from mooring.run import panel
from mooring.run.attend import attend
from mooring.run.authority import choose
from mooring.run.authority_events import AuthorityEvents
from mooring.run.broker import build_process, service_endpoint, write_accounts, write_config
from mooring.run.broker_watch import BrokerWatch
from mooring.run.certificates import watch_certificates
from mooring.run.children import Child
from mooring.run.connection_watch import ConnectionWatch
from mooring.run.descriptors import raise_limit
from mooring.run.follow import Follower
from mooring.settings import ENV_PREFIX, Settings
from mooring.store.processes import Heartbeat
from mooring.store.schema import processes

__all__ = ["main"]

log = logging.getLogger(__name__)

READY_SECONDS = 60.0
ROTATION_SECONDS = 0.25  # between two looks at rotations under way


def main(settings: Settings, *, demo: bool = False, quiet: bool = False) -> int:
    """Runs the platform until SIGINT or SIGTERM; the exit code of the command.

    Args:
        demo: also run a small simulated fleet of every dialect.
        quiet: print nothing but errors.

    Raises:
        Conflict: another one runs on the data directory, or a port is taken.
        MooringError: a part cannot be started; the message says which and why.
    """
    logs.configure("warning" if settings.log_level == "info" else settings.log_level)
    with running.exclusive(settings.data_dir):
        settings = choose(settings)
        return asyncio.run(_up(settings, demo=demo, say=panel.Speaker(quiet=quiet)))


async def _up(settings: Settings, *, demo: bool, say: panel.Speaker) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    raise_limit(settings)
    running.announce(settings.data_dir, _told(settings))
    say.step("database")
    with open_app(settings, upgrade=True) as app:
        first_password = app.people.ensure_admin()
        async with contextlib.AsyncExitStack() as stack:
            broker = None
            if settings.broker == "managed":
                say.step("broker")
                broker = await stack.enter_async_context(_broker(app))
            heartbeat = Heartbeat(app.database, "up", lambda: _detail(broker))
            heartbeat.start()
            stack.callback(heartbeat.stop)
            children = []
            for name in ("ingest", "serve", "keeper"):
                say.step(name)
                children.append(await stack.enter_async_context(_child(app, name, [name])))
            if demo:
                say.step("simulated fleet")
                await stack.enter_async_context(_child(app, "simulate", ["simulate", "--demo"]))
            workers = Workers()

            async def moved(current: App) -> None:
                """Everything that was started with other settings begins anew."""
                running.announce(settings.data_dir, _told(current.settings))
                env = _environment(current.settings)
                await asyncio.gather(*(child.restart(env) for child in children))
                await workers.restart(_by_settings(current, broker, follower))
                for child in children:
                    await _until_ready(current, child)

            process = broker.process if broker is not None else None
            follower = Follower(app, process, broker.accounts if broker else None, moved)
            tasks = [follower.follow()]
            if broker is not None:
                tasks.append(follower.keep(broker.process))
                tasks.append(broker.watch.run())
                tasks.append(attend(follower, broker.watch))
                tasks.append(broker.connections.run())
            lasting = Workers()
            await lasting.restart(tasks)
            await workers.restart(_by_settings(app, broker, follower))
            say.ready(app, first_password, demo=demo)
            await stop.wait()
            say.stopping()
            await lasting.restart([])
            await workers.restart([])
        say.stopped()
    return 0


# ---------------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True)
class Broker:
    """The managed broker, and who reads its log."""

    process: BrokerProcess
    watch: BrokerWatch
    connections: ConnectionWatch
    accounts: list[Account]  # it was started with


def _detail(broker: Broker | None) -> dict[str, object]:
    """The figures of ``up`` in ``mooring status``."""
    return (
        {"managed": False} if broker is None else {"managed": True, **broker.connections.detail()}
    )


@asynccontextmanager
async def _broker(app: App) -> AsyncIterator[Broker]:
    """Mosquitto with exactly the accounts of the database, ready for clients."""
    config = write_config(app)
    process = build_process(app, config)
    # Written beside the stopped broker: this is the full comparison at the start, and it
    # costs the same for ten devices and ten thousand.
    await process.stop_leftover()
    check_free([*process.listens, (app.settings.http_host, app.settings.http_port)])
    accounts = app.devices.accounts()
    await write_accounts(app, accounts)
    # The log is read from before its start: devices come back before the rest is ready.
    watch = BrokerWatch(app, process)
    await process.start()
    try:
        await process.wait_ready()
        yield Broker(process, watch, ConnectionWatch(app, process, watch), accounts)
    finally:
        await process.stop()


@asynccontextmanager
async def _child(app: App, name: str, words: list[str]) -> AsyncIterator[Child]:
    settings = app.settings
    child = Child(name, words, _environment(settings), settings.logs_dir / f"{name}.log")
    await child.start()
    try:
        if name != "simulate":
            await _until_ready(app, child)
        yield child
    finally:
        await child.stop()


async def _until_ready(app: App, child: Child) -> None:
    """Waits for the sign of life that says the part does its work."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if child.restarts > 2:
            break
        if await asyncio.to_thread(_is_ready, app, child):
            return
        await asyncio.sleep(0.05)
    words = child.last_words()
    raise Unavailable(
        f"{child.name} did not get ready" + (f"; its last words: {words}" if words else "."),
        hint=f"See {app.settings.logs_dir / (child.name + '.log')}.",
    )


def _is_ready(app: App, child: Child) -> bool:
    statement = sa.select(processes.c.detail).where(
        processes.c.role == child.name, processes.c.pid == (child.pid or -1)
    )
    with app.database.read() as connection:
        detail = connection.execute(statement).scalar()
    return detail is not None and json.loads(detail).get("connected", True) is True


def _environment(settings: Settings) -> dict[str, str]:
    """The same settings for the children, whatever they came from."""
    env = dict(os.environ)
    for name, value in settings.model_dump(exclude_defaults=True).items():
        match value:
            case None:
                continue
            case tuple():
                text = ",".join(value)
            case _ if hasattr(value, "get_secret_value"):
                text = value.get_secret_value()
            case _:
                text = str(value)
        env[ENV_PREFIX + name.upper()] = text
    return env


def _told(settings: Settings) -> dict[str, object]:
    """What other commands on this data directory need to know, without secrets."""
    secrets = {name for name, value in settings if hasattr(value, "get_secret_value")}
    told = settings.model_dump(
        mode="json", exclude_defaults=True, exclude={"data_dir", "log_level", *secrets}
    )
    return told | {"auth_mode": settings.authority}


# ---------------------------------------------------------------------- keeping it so


async def _forever(work: Awaitable[None]) -> None:
    """One of the tasks below; its end would be a fault of ours and must be seen."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except Exception:
        log.critical("a part of `mooring up` stopped working", exc_info=True)
        os.kill(os.getpid(), signal.SIGTERM)
        raise


class Workers:
    """Tasks that run until others take their place."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def restart(self, work: Sequence[Coroutine[None, None, None]]) -> None:
        """Ends what runs, then starts ``work``."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = [asyncio.create_task(_forever(one)) for one in work]


def _by_settings(
    app: App, broker: Broker | None, follower: Follower
) -> list[Coroutine[None, None, None]]:
    """What begins anew when the settings have changed."""
    rotating = [_rotate(app)] if broker is not None else []
    certificates = watch_certificates(app, follower.turn)
    follower.before_lock_outs = certificates.before_lock_outs
    evidence = []
    if broker is not None:
        broker.watch.of_broker_only = app.settings.authority == "plugin"
    if isinstance(follower.authority, PluginAuthority):
        events = AuthorityEvents(app, follower.authority, follower.compare_soon)
        evidence.append(events.run())
    return [*rotating, *evidence, certificates.run()]


async def _rotate(app: App) -> None:
    """Proves passwords and carries rotations through; one process at a time does."""
    worker = RotationWorker(
        Parts(app.database, app.devices, app.instance, app.rotations, app.settings),
        service_endpoint(app),
    )
    try:
        while True:
            try:
                taken = await worker.step()
            except MooringError as exc:
                log.warning("rotations wait: %s", exc)
                taken = 0
                await asyncio.sleep(1)
            await asyncio.sleep(0.05 if taken else ROTATION_SECONDS)
    finally:
        await worker.close()
