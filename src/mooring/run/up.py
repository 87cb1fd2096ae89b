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
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import sqlalchemy as sa

from mooring import logs, running
from mooring.app import App, open_app
from mooring.broker.ports import check_free
from mooring.broker.process import BrokerProcess
from mooring.broker.protocol import Authority
from mooring.devices.reconcile import Reconciler
from mooring.errors import MooringError, Unavailable
from mooring.run import panel
from mooring.run.broker import build_authority, build_process, write_config
from mooring.run.broker_watch import BrokerWatch
from mooring.run.children import Child, restart_pause
from mooring.settings import ENV_PREFIX, Settings
from mooring.store.processes import Heartbeat
from mooring.store.schema import processes
from mooring.store.watch import ChangeWatch

__all__ = ["main"]

log = logging.getLogger(__name__)

READY_SECONDS = 60.0
COMPARE_SECONDS = 300.0  # between two comparisons of everything with the broker


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
        return asyncio.run(_up(settings, demo=demo, say=panel.Speaker(quiet=quiet)))


async def _up(settings: Settings, *, demo: bool, say: panel.Speaker) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    running.announce(settings.data_dir, _told(settings))
    say.step("database")
    with open_app(settings, upgrade=True) as app:
        first_password = app.people.ensure_admin()
        async with contextlib.AsyncExitStack() as stack:
            broker = None
            if settings.broker == "managed":
                say.step("broker")
                broker = await stack.enter_async_context(_broker(app))
            authority = build_authority(app, restart=broker.restart if broker else None)
            heartbeat = Heartbeat(app.database, "up", lambda: {"managed": broker is not None})
            heartbeat.start()
            stack.callback(heartbeat.stop)
            for name in ("ingest", "serve", "keeper"):
                say.step(name)
                await stack.enter_async_context(_child(app, name, [name]))
            if demo:
                say.step("simulated fleet")
                await stack.enter_async_context(_child(app, "simulate", ["simulate", "--demo"]))
            tasks = [_follow(app, authority)]
            if broker is not None:
                tasks.append(_keep_broker(broker))
                tasks.append(BrokerWatch(app, broker).run())
            working = [asyncio.create_task(_forever(task)) for task in tasks]
            say.ready(app, first_password, demo=demo)
            await stop.wait()
            say.stopping()
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        say.stopped()
    return 0


# ---------------------------------------------------------------------- parts


@asynccontextmanager
async def _broker(app: App) -> AsyncIterator[BrokerProcess]:
    """Mosquitto with exactly the accounts of the database, ready for clients."""
    config = write_config(app.settings)
    process = build_process(app, config)
    # Written beside the stopped broker: this is the full comparison at the start, and it
    # costs the same for ten devices and ten thousand.
    await process.stop_leftover()
    check_free([*process.listens, (app.settings.http_host, app.settings.http_port)])
    await build_authority(app, running=False).replace(app.devices.accounts())
    await process.start()
    try:
        await process.wait_ready()
        yield process
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
    return settings.model_dump(
        mode="json", exclude_defaults=True, exclude={"data_dir", "log_level", *secrets}
    )


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


async def _keep_broker(broker: BrokerProcess) -> None:
    young = 0
    while True:
        pid, born = broker.pid, time.monotonic()
        await broker.wait()
        await asyncio.sleep(0.2)
        if broker.running and broker.pid != pid:  # restarted on purpose
            continue
        young = young + 1 if time.monotonic() - born < 30 else 0
        log.warning("the broker ended: %s; starting it again", broker.last_words() or "no word")
        await asyncio.sleep(restart_pause(young))
        await _retry(broker.restart, "the broker cannot be started")


async def _retry(action: Callable[[], Awaitable[None]], what: str) -> None:
    failures = 0
    while True:
        try:
            await action()
        except MooringError as exc:
            log.warning("%s: %s", what, exc)
            failures += 1
            await asyncio.sleep(restart_pause(failures))
        else:
            return


async def _follow(app: App, authority: Authority) -> None:
    """Makes the broker follow the database: at every change, and all of it now and then."""
    reconciler = Reconciler(app.database, app.devices, app.instance, authority)
    watch = ChangeWatch(app.database)
    next_compare = time.monotonic() + COMPARE_SECONDS
    look_again = 0.0
    while True:
        try:
            now = time.monotonic()
            if watch.changed() or now >= look_again:
                await reconciler.step()
                look_again = now + 0.5  # postponed changes become due without a commit
            if now >= next_compare:
                next_compare = now + COMPARE_SECONDS
                await reconciler.full()
        except MooringError as exc:
            log.warning("the broker does not follow the database: %s", exc)
            await asyncio.sleep(1)
        await asyncio.sleep(watch.pause)
