"""``mooring up``: broker, ingest, HTTP and keeper as one platform, until Ctrl-C.

The flow, from top to bottom: take the data directory, bring the database to its schema, write
the broker's files while it stands still, start the parts in order and wait until each is
really ready, say where everything is, then keep it running and make the broker follow the
database. Stopping goes the other way round.

The event loop never waits for the database: every question goes through a thread, so that
Ctrl-C and the broker's restart work while a server hangs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from mooring import logs, running
from mooring.app import App, open_app
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.ports import check_free
from mooring.broker.process import BrokerProcess
from mooring.errors import DatabaseUnavailable, Unavailable
from mooring.identity.account import Account
from mooring.masking import without_login
from mooring.run import panel
from mooring.run.children import Child
from mooring.run.template import Template
from mooring.settings import Settings
from mooring.store.processes import Heartbeat
from mooring.store.schema import processes
from mooring.supervisor import ending
from mooring.supervisor.supervisor import Supervisor
from mooring.supervisor.worker import Worker
from mooring.wiring.attend import attend
from mooring.wiring.authority import choose
from mooring.wiring.authority_events import AuthorityEvents
from mooring.wiring.broker import (
    BrokerFiles,
    build_process,
    write_accounts,
    write_config,
)
from mooring.wiring.broker_watch import BrokerWatch
from mooring.wiring.certificates import watch_certificates
from mooring.wiring.connection_watch import ConnectionWatch
from mooring.wiring.descriptors import raise_limit
from mooring.wiring.follow import Follower
from mooring.wiring.guarding import Guard
from mooring.wiring.log_files import LogFiles

__all__ = ["main"]

log = logging.getLogger(__name__)

READY_SECONDS = 60.0
TEMPLATE_SECONDS = 20.0
"""From the start until the template is retired. What fails does so mostly at the beginning, and is
started again fastest by the template."""
EXIT_SECONDS = 4.0  # for what still waits for the database when everything else is stopped
CHILDREN = ("ingest", "serve", "keeper", "worker")
MIGRATION = ("db", "migrate")


def main(settings: Settings, *, demo: bool = False, quiet: bool = False) -> int:
    """Runs the platform until SIGINT, SIGTERM or, when its terminal is closed, SIGHUP; the exit
    code of the command.

    Args:
        demo: also run a small simulated fleet of every dialect.
        quiet: print nothing but errors.

    Raises:
        Conflict: another one runs on the data directory, or a port is taken.
        MooringError: a part cannot be started; the message says which and why.
    """
    template = Template.start(settings)  # before there is anything that a fork must not have
    logs.configure("warning" if settings.log_level == "info" else settings.log_level)
    try:
        with running.exclusive(settings.data_dir):
            settings = choose(settings)
            say = panel.Speaker(quiet=quiet)
            code = ending.run(_up(settings, demo=demo, say=say, template=template))
    except BaseException as exc:
        ending.exit_within(EXIT_SECONDS, getattr(exc, "exit_code", 1))
        raise
    finally:
        if template is not None:
            template.close()
    ending.exit_within(EXIT_SECONDS, code)
    return code


async def _up(
    settings: Settings, *, demo: bool, say: panel.Speaker, template: Template | None
) -> int:
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ending.stopping_signals():
        loop.add_signal_handler(number, stop.set)
    raise_limit(settings)
    platform = asyncio.create_task(
        _platform(settings, stop, ready, demo=demo, say=say, template=template)
    )
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({platform, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not platform.done() and not ready.is_set():
        say.stopping()
        platform.cancel()  # what is started so far is stopped in order
        await asyncio.wait({platform})
    try:
        await platform
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    say.stopped()
    return 0


async def _platform(
    settings: Settings,
    stop: asyncio.Event,
    ready: asyncio.Event,
    *,
    demo: bool,
    say: panel.Speaker,
    template: Template | None,
) -> None:
    running.announce(settings.data_dir, _told(settings))
    say.step("database")
    if template is not None:
        await _migrated(settings, template)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(_opened(settings))
        first_password = await asyncio.to_thread(app.people.ensure_admin)
        supervisor = Supervisor("up")
        stack.push_async_callback(supervisor.stop)
        broker = None
        if settings.broker == "managed":
            say.step("broker")
            broker = await stack.enter_async_context(_broker(app, supervisor))
            if broker.process.set_aside is not None:
                say.set_aside(broker.process.set_aside)
        followers: list[Follower] = []  # one, as soon as the children run
        heartbeat = Heartbeat(
            app.database, "up", lambda: _detail(broker, followers), supervisor.report
        )
        heartbeat.start()
        stack.push_async_callback(_patiently, heartbeat.stop)
        children = await stack.enter_async_context(_children(supervisor, template))
        words = [[name] for name in CHILDREN] + ([["simulate", "--demo"]] if demo else [])
        for each in words:
            say.step("simulated fleet" if each[0] == "simulate" else each[0])
            await children.start(app, each)

        async def moved(current: App) -> None:
            """Everything that was started with other settings begins again."""
            running.announce(settings.data_dir, _told(current.settings))
            await asyncio.gather(*(one.restart(current.settings) for one in children.all))
            await supervisor.start(await _by_settings(current, broker, follower))
            for one in children.all:
                await _until_ready(current, one)

        process = broker.process if broker is not None else None
        follower = Follower(app, process, broker.accounts if broker else None, moved)
        follower.on_dialects = heartbeat.nudge
        followers.append(follower)
        stack.push_async_callback(supervisor.stop)  # before anything is stopped that they start
        await supervisor.start(
            [
                *_lasting(app, broker, follower),
                *await _by_settings(app, broker, follower),
            ]
        )
        ready.set()
        say.ready(app, first_password, demo=demo)
        if template is not None:
            asyncio.get_running_loop().call_later(TEMPLATE_SECONDS, template.retire)
        await stop.wait()
        say.stopping()


# ---------------------------------------------------------------------- parts


async def _migrated(settings: Settings, template: Template) -> None:
    """Migrates the database in another process, because what that imports is not needed again.

    What it cannot do is tried again in this process, which then reports the error.
    """
    migration = Child("migrations", MIGRATION, settings, Path(os.devnull), template)
    await migration.start()
    try:
        await migration.ended()
    finally:
        await migration.stop()


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[App]:
    """The parts of this process; opening and closing may wait for a server."""
    manager = open_app(settings, upgrade=True)
    app = await asyncio.to_thread(manager.__enter__)
    try:
        yield app
    finally:
        await _patiently(lambda: manager.__exit__(None, None, None))


async def _patiently(work: Callable[[], object]) -> None:
    """Does what is done at the end; a server that does not answer is not waited for."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    _, hanging = await asyncio.wait({task}, timeout=EXIT_SECONDS)
    if hanging:
        log.warning("the database does not answer; stopping without it")
    else:
        task.result()


@dataclass(frozen=True, slots=True)
class Broker:
    """The managed broker, and who reads its log."""

    process: BrokerProcess
    watch: BrokerWatch
    connections: ConnectionWatch
    accounts: list[Account]  # it was started with, where the authority has to know


def _detail(broker: Broker | None, followers: Sequence[Follower]) -> dict[str, object]:
    """The figures of ``up`` in ``mooring status``."""
    figures: dict[str, object] = {"managed": broker is not None}
    if broker is not None:
        figures |= broker.connections.detail()
    for follower in followers:
        if follower.dialects >= 0:
            figures["dialects_read"] = follower.dialects
    return figures


@asynccontextmanager
async def _broker(app: App, supervisor: Supervisor) -> AsyncIterator[Broker]:
    """Mosquitto with exactly the accounts of the database, ready for clients."""
    config = await asyncio.to_thread(write_config, app)
    process = build_process(app, config)
    # Written next to the stopped broker: this is the full comparison at the start, and it
    # costs the same for ten devices and ten thousand.
    await process.stop_leftover()
    check_free([*process.listens, (app.settings.http_host, app.settings.http_port)])
    accounts = await write_accounts(app)
    # The log is read from before its start: devices come back before the rest is ready.
    watch = BrokerWatch(app, process)
    guard = Guard(app.settings)
    await supervisor.start([Worker("guard", guard.keep)])
    try:
        await process.begin()
        yield Broker(process, watch, ConnectionWatch(app, process, watch), accounts)
    finally:
        await process.stop()
        await supervisor.stop(["guard"])
        await guard.stop()


class Children:
    """The processes that do the work."""

    def __init__(self, supervisor: Supervisor, template: Template | None) -> None:
        self._supervisor = supervisor
        self._template = template
        self.all: list[Child] = []

    async def start(self, app: App, words: list[str]) -> None:
        """Starts one and waits until it is ready.

        Raises:
            Unavailable: it does not get ready; the message holds its last words.
        """
        name, settings = words[0], app.settings
        child = Child(name, words, settings, settings.logs_dir / f"{name}.log", self._template)
        self.all.append(child)
        await child.start()
        await self._supervisor.start([Worker(f"process {name}", child.keep)])
        await _until_ready(app, child)

    async def stop(self) -> None:
        """All at the same time: together they take no longer than the slowest."""
        await asyncio.gather(*(child.stop() for child in self.all))


@asynccontextmanager
async def _children(supervisor: Supervisor, template: Template | None) -> AsyncIterator[Children]:
    children = Children(supervisor, template)
    try:
        yield children
    finally:
        await children.stop()


async def _until_ready(app: App, child: Child) -> None:
    """Waits for the sign of life that says the part does its work."""
    if child.name == "simulate":
        return
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if child.restarts > 2:
            break
        if await asyncio.to_thread(_is_ready, app, child):
            return
        await asyncio.sleep(0.05)
    words = child.last_words()
    raise Unavailable(
        f"{child.name} did not become ready" + (f"; its last output: {words}" if words else "."),
        hint=f"See {app.settings.logs_dir / (child.name + '.log')}.",
    )


def _is_ready(app: App, child: Child) -> bool:
    statement = sa.select(processes.c.detail).where(
        processes.c.role == child.name, processes.c.pid == (child.pid or -1)
    )
    try:
        with app.database.read() as connection:
            detail = connection.execute(statement).scalar()
    except DatabaseUnavailable as exc:
        log.warning("waiting for %s: %s", child.name, exc)
        return False
    return detail is not None and json.loads(detail).get("connected", True) is True


def _told(settings: Settings) -> dict[str, object]:
    """What other commands on this data directory need to know, without secrets. Also values that
    are defaults: a flag may have set them against the settings file."""
    secrets = {name for name, value in settings if hasattr(value, "get_secret_value")}
    told = settings.model_dump(mode="json", exclude={"data_dir", "log_level", *secrets})
    told |= {"auth_mode": settings.authority}
    return {
        name: without_login(value) if isinstance(value, str) else value
        for name, value in told.items()
        if value is not None
    }


# ---------------------------------------------------------------------- keeping it so


def _lasting(app: App, broker: Broker | None, follower: Follower) -> list[Worker]:
    """What runs as long as the platform."""
    settings = app.settings
    workers = [Worker("changes", follower.follow, rows=(follower.faults,))]
    broker_log = None
    if broker is not None:
        process, watch = broker.process, broker.watch
        broker_log = BrokerFiles(settings).log
        workers += [
            Worker("broker", lambda: follower.keep(process)),
            Worker("broker log", watch.run, rows=(watch.faults,)),
            Worker("attention", lambda: attend(follower, watch)),
            Worker("connections", broker.connections.run),
        ]

    async def reopen() -> None:
        if broker is not None:
            broker.process.reload()

    files = LogFiles(
        settings.logs_dir.absolute(), settings.log_max_bytes, broker_log, reopen, follower.turn
    )
    return [*workers, Worker("log files", files.keep)]


async def _by_settings(app: App, broker: Broker | None, follower: Follower) -> list[Worker]:
    """What begins again when the settings have changed."""
    certificates = await asyncio.to_thread(watch_certificates, app, follower.turn)
    follower.before_lock_outs = certificates.before_lock_outs
    workers = [Worker("certificates", certificates.run, rows=certificates.row_faults)]
    if broker is not None:
        broker.watch.of_broker_only = app.settings.authority == "plugin"
        workers.append(_evidence(app, follower))
    return workers


def _evidence(app: App, follower: Follower) -> Worker:
    """What the plugin reports, while it is the authority; otherwise the log tells it."""
    if isinstance(follower.authority, PluginAuthority):
        events = AuthorityEvents(app, follower.authority, follower.compare_soon)
        return Worker("evidence", events.run, rows=(events.faults,))
    return Worker("evidence", _nothing)


async def _nothing() -> None:
    await asyncio.Event().wait()
