"""A platform in this process: real database, real Mosquitto, the real loops of ``mooring up``.

When a step raises ``Killed`` everything of the platform but the broker is dropped where it
stands and started anew, as after ``kill -9`` and a restart. When the broker is killed it is
started again, as ``mooring up`` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from mooring.app import App, open_app
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.process import BrokerProcess
from mooring.broker.protocol import Applied, Authority, SharedAuthority
from mooring.credentials.rotation.rules import Timing
from mooring.credentials.rotation.worker import Parts, RotationWorker
from mooring.devices.reconcile import Reconciler
from mooring.downlink.worker import Sender
from mooring.errors import BrokerUnavailable, MooringError
from mooring.identity.account import Account
from mooring.ingest.service import Ingest
from mooring.ingest.sinks import open_sink
from mooring.link.mqtt import MqttLink
from mooring.run.projections import projections_of
from mooring.settings import Settings
from mooring.wiring.authority_events import AuthorityEvents
from mooring.wiring.broker import (
    build_authority,
    build_process,
    service_endpoint,
    write_accounts,
    write_config,
)
from mooring.wiring.broker_watch import BrokerWatch
from tests.faults.credentials.points import Fault, Killed, Points
from tests.support.ports import free_port
from tests.support.source import ROOT
from tests.support.waiting import wait_until

__all__ = ["Stage"]

TIMING = Timing(
    wait=60_000,
    resend=700,
    sends=3,
    silence=3_000,
    gone=800,
    hold=600,
    anywhere=3_000,
    anywhere_most=6_000,
    restart=6_000,
)
LOOK = 0.02


class Stage:
    """Everything a test needs of one installation, with one authority."""

    def __init__(self, folder: Path, auth_mode: str) -> None:
        self.settings = Settings(
            data_dir=folder / "data",
            auth_mode=auth_mode,
            mqtt_port=free_port(),
            mqtt_tls_port=free_port(),
            mqtt_ws_port=free_port(),
            http_port=free_port(),
            reload_debounce_seconds=0.05,
            claim_attempts_per_minute=1000,
        )
        self._dialect()
        self.points = Points(self.settings.sqlite_path, self._kill_broker)
        self.lives = 0
        self._app: App | None = None
        self._process: BrokerProcess | None = None
        self.authority: Authority | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._die: asyncio.Event | None = None
        self._ready = threading.Event()
        self._stopping = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="platform", daemon=True)

    def _dialect(self) -> None:
        """A dialect of the installation's own, beside the built-in ones."""
        text = (ROOT / "src/mooring/dialects/mooring.toml").read_text(encoding="utf-8")
        text = text.replace('name = "mooring"', 'name = "keeper"', 1)
        text = text.replace("mooring/{tenant}", "keeper/{tenant}")
        self.settings.dialects_dir.mkdir(parents=True)
        (self.settings.dialects_dir / "keeper.toml").write_text(text, encoding="utf-8")

    # ------------------------------------------------------------------ from the test's side

    @property
    def app(self) -> App:
        assert self._ready.wait(60), self.error
        assert self._app is not None
        return self._app

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(60) or self.error:
            raise AssertionError("the platform did not start") from self.error

    def stop(self) -> None:
        self._stopping = True
        self._end_life()
        self._thread.join(60)

    def restart(self) -> None:
        """The process was killed: a new one takes its place."""
        before = self.lives
        self._end_life()
        wait_until(lambda: self.lives > before, "the platform to come back", timeout=60)

    def accounts_agree(self) -> bool:
        """Whether database and broker say the same, and nothing waits."""
        app, authority, loop = self.app, self.authority, self._loop
        assert authority is not None
        assert loop is not None
        with app.database.read() as connection:
            if connection.exec_driver_sql("SELECT count(*) FROM broker_changes").scalar_one():
                return False
        asked = asyncio.run_coroutine_threadsafe(authority.compare(app.devices.accounts()), loop)
        try:
            return not asked.result(20)
        except (BrokerUnavailable, asyncio.CancelledError, TimeoutError):
            return False

    def _end_life(self) -> None:
        loop, die = self._loop, self._die
        if loop is not None and die is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself meanwhile
                loop.call_soon_threadsafe(die.set)

    def _kill_broker(self) -> None:
        assert self._process is not None
        if self._process.pid is not None:
            os.kill(self._process.pid, signal.SIGKILL)

    # ------------------------------------------------------------------ one life after another

    def _run(self) -> None:
        while not self._stopping:
            try:
                asyncio.run(self._life())
            except BaseException as exc:  # noqa: BLE001 - told by whoever waits
                self.error = exc
                self._ready.set()
                return

    async def _life(self) -> None:
        self._loop, self._die = asyncio.get_running_loop(), asyncio.Event()
        self._turn = asyncio.Lock()
        with open_app(self.settings, upgrade=True) as app:
            process = build_process(app, write_config(app))
            await process.stop_leftover()
            await write_accounts(app)
            watch = BrokerWatch(app, process)
            await process.start()
            await process.wait_ready()
            self._process = process
            self.authority = build_authority(app, restart=process.restart)
            self._app = app
            tasks = [
                asyncio.create_task(one)
                for one in (
                    self._follow(app),
                    self._keep(app, process),
                    watch.run(),
                    self._rotate(app),
                    self._send(app),
                    self._ingest(app),
                    self._die.wait(),
                    *self._evidence(app),
                )
            ]
            self.lives += 1
            self._ready.set()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._ready.clear()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if isinstance(self.authority, PluginAuthority):
                await self.authority.close()
            if self._stopping:
                await process.stop()
            for task in done:
                error = task.exception()
                if error is not None and not isinstance(error, Killed):
                    raise error

    def _evidence(self, app: App) -> list[Coroutine[Any, Any, None]]:
        if not isinstance(self.authority, PluginAuthority):
            return []
        return [AuthorityEvents(app, self.authority, lambda: None).run()]

    async def _follow(self, app: App) -> None:
        assert self.authority is not None
        faulty = _Faulty(self.authority, self.points)
        reconciler = Reconciler(
            app.database,
            app.devices,
            app.instance,
            faulty,  # type: ignore[arg-type]
            service_endpoint(app),
        )

        async def step() -> int:
            async with self._turn:
                return await reconciler.step()

        await _again(step)

    async def _keep(self, app: App, process: BrokerProcess) -> None:
        while True:
            await process.wait()
            await asyncio.sleep(0.3)
            # One at a time, as in ``mooring up``: SIGHUP kills a broker that has only begun.
            async with self._turn:
                await write_accounts(app)
                await process.start()
                await process.wait_ready()

    async def _rotate(self, app: App) -> None:
        worker = RotationWorker(
            Parts(
                app.database, app.devices, app.instance, app.rotations, app.downlinks, app.settings
            ),
            service_endpoint(app),
            TIMING,
            lease_ms=500,
        )
        hit = self.points.hit
        _after(worker, "_about_to_send", lambda: hit("sent"))
        _after(worker, "_hold", lambda: hit("switched"))
        _before(worker, "_in_force", lambda: hit("in force"))
        _before(worker, "_finish", lambda: hit("proved"))
        await _again(worker.step)

    async def _send(self, app: App) -> None:
        sender = Sender(app.database, app.instance, app.endpoint("sender"), lease_ms=500)
        attempts = sender._attempts
        deliver = attempts._deliver

        async def faulty(row: Any, payload: bytes) -> int:
            if self.points.lost(Fault.MESSAGE):
                return 0
            code = await deliver(row, payload)
            await asyncio.to_thread(self.points.hit, "published")
            return code

        attempts._deliver = faulty  # type: ignore[method-assign]
        try:
            await _again(sender.step)
        finally:  # the socket ends with its process; the lease stays until it is over
            if sender.link is not None:
                await sender.link.close()

    async def _ingest(self, app: App) -> None:
        """Started again when it ends, as its supervisor does."""
        while True:
            try:
                await self._ingest_once(app)
            except MooringError:
                await asyncio.sleep(0.3)

    async def _ingest_once(self, app: App) -> None:
        link = MqttLink(app.endpoint("ingest"), session_seconds=600)
        await Ingest(
            settings=app.settings,
            database=app.database,
            catalogue=app.catalogue,
            link=link,
            sink=open_sink(app.settings, projections_of(app)),
            projections=projections_of(app),
            client_id="ingest",
        ).run(asyncio.Event())


class _Faulty:
    """An authority whose calls and answers can get lost."""

    def __init__(self, authority: Authority, points: Points) -> None:
        self._authority = authority
        self._points = points

    async def put(self, accounts: list[Account], secrets: dict[str, str]) -> Applied:
        return await self._change(lambda: self._authority.put(accounts, secrets))

    async def remove(self, usernames: list[str]) -> None:
        await self._change(lambda: self._authority.remove(usernames))

    async def kick(self, usernames: list[str]) -> None:
        await self._change(lambda: self._authority.kick(usernames))

    async def refresh(self, *words: Any, **options: Any) -> Applied:
        assert isinstance(self._authority, SharedAuthority)
        shared = self._authority
        return await self._change(lambda: shared.refresh(*words, **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._authority, name)

    async def _change(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        await asyncio.to_thread(self._points.hit, "telling")
        if self._points.lost(Fault.MESSAGE):
            raise BrokerUnavailable("The message was lost.")
        answer = await call()
        await asyncio.to_thread(self._points.hit, "told")
        if self._points.lost(Fault.ANSWER):
            raise BrokerUnavailable("The answer was lost.")
        return answer


async def _again(step: Callable[[], Coroutine[Any, Any, object]]) -> None:
    while True:
        try:
            await step()
        except MooringError:
            await asyncio.sleep(0.1)
        await asyncio.sleep(LOOK)


def _after(target: object, name: str, hook: Callable[[], None]) -> None:
    real = getattr(target, name)

    def wrapped(*args: Any) -> Any:
        result = real(*args)
        hook()
        return result

    setattr(target, name, wrapped)


def _before(target: object, name: str, hook: Callable[[], None]) -> None:
    real = getattr(target, name)

    def wrapped(*args: Any) -> Any:
        hook()
        return real(*args)

    setattr(target, name, wrapped)
