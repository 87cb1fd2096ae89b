"""Making the broker follow the database while the platform runs.

One thing at a time is done to the broker: applying changes, comparing everything, doing what
a command asked for, starting it again after it died. Whatever it is, it can be done again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

from mooring.app import App
from mooring.broker import requests
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.process import BrokerProcess
from mooring.broker.protocol import Authority, SharedAuthority
from mooring.broker.requests import Request, RequestAction, RequestState
from mooring.changes.queue import ACCOUNTS
from mooring.devices.reconcile import Reconciler, Report
from mooring.errors import DatabaseUnavailable, MooringError
from mooring.identity.account import Account
from mooring.serve.current import Current
from mooring.store.versions import version
from mooring.store.wake import Waker
from mooring.store.watch import Bell, Waiting
from mooring.supervisor.restarts import YOUNG_SECONDS, restart_pause
from mooring.supervisor.rows import RowFaults
from mooring.supervisor.state import Policy
from mooring.wiring.broker import (
    build_authority,
    reload_broker,
    service_endpoint,
    write_accounts,
)
from mooring.wiring.migrate import switch

__all__ = ["Follower", "report_document"]

log = logging.getLogger(__name__)

DIALECT_LOOK_SECONDS = 1.0
BUSY_SECONDS = 5.0  # after a change the next one is expected soon
IDLE_PAUSE_SECONDS = 0.05  # between two looks otherwise
FAULT = {"message": "An unexpected error occurred in Mooring.", "hint": "See its output."}
ACCOUNTS_SECONDS = 5.0  # a broker that died does not wait longer for the database
COMPARE_ANYWAY_SECONDS = 86_400.0  # also when nothing says that anything has changed
WHAT_ACCOUNTS_ARE_MADE_OF = (ACCOUNTS, "broker_users", "devices", "dialects")
STEPS = Policy(first=1.0, most=60.0)
ASLEEP_SECONDS = 2.0  # between two looks when nobody commits, and no change is due before
LOOK_AGAIN_SECONDS = 0.5  # postponed changes become due without a commit


class Follower:
    """What runs in ``mooring up`` in parallel with the children.

    Args:
        app: with the settings the platform was started with; ``app`` is what is in force.
        broker: the managed broker, ``None`` when it runs elsewhere.
        written: the accounts it was started with.
        moved: called when settings have changed, so that the children follow.
    """

    def __init__(
        self,
        app: App,
        broker: BrokerProcess | None,
        written: list[Account] | None,
        moved: Callable[[App], Awaitable[None]],
    ) -> None:
        self.app = app
        self._broker = broker
        self._moved = moved
        self.turn = asyncio.Lock()
        """Held while something is done to the broker."""
        self.before_lock_outs: Callable[[], Awaitable[None]] | None = None
        """Awaited before the broker is notified of changes: certificates are rejected first."""
        self._restart = broker.restart if broker is not None else None
        self._next_compare = 0.0  # monotonic
        self._equal: tuple[object, ...] | None = None  # of database and broker, when they agreed
        self._equal_until = 0.0  # monotonic: then everything is read again
        self._waker: Waker | None = None
        self.dialects = -1
        """The version of the dialects whose rights the broker's accounts have."""
        self.on_dialects: Callable[[], None] | None = None  # called when it has changed
        self._dialects_read: int | None = None  # whose rights are not yet compared
        self._begun = False
        self._asking: asyncio.Future[None] | None = None
        self.faults = RowFaults("the step", passing=(MooringError,), policy=STEPS)
        """Steps of ``follow`` that failed in a way nobody expected: the others continue."""
        self.authority: Authority = build_authority(app, restart=self._restart, written=written)

    @property
    def broker_pid(self) -> int | None:
        """The managed broker's process, while it runs."""
        return self._broker.pid if self._broker is not None else None

    def compare_soon(self) -> None:
        """Everything is compared in the next round."""
        self._next_compare = 0.0
        self._equal = None
        if self._waker is not None:
            self._waker.wake()

    async def follow(self) -> None:
        """Runs until cancelled: new changes, requests, and a periodic comparison of everything."""
        pause = self.app.settings.broker_compare_seconds
        bell = Bell(self.app.database)
        dialects = await asyncio.to_thread(Current, self.app, look_seconds=DIALECT_LOOK_SECONDS)
        if not self._begun:  # once a start of the platform, not each time this one fails
            await asyncio.to_thread(self._forget_requests)
            self._next_compare = time.monotonic() + pause
            self._begun = True
        waker = self._waker = Waker(self.app.database.wake_folder, awake=0.0)
        try:
            await self._follow(bell, waker, dialects, pause)
        finally:
            self._waker = None
            waker.close()

    async def _follow(self, bell: Bell, waker: Waker, dialects: Current, pause: float) -> None:
        look_again = busy_until = 0.0
        committed = False
        while True:
            try:
                now = time.monotonic()
                async with self._step("dialects"):
                    await self._dialects(dialects)
                waiting = await _look(bell, whatever=now >= look_again)
                if now >= look_again:
                    look_again = now + LOOK_AGAIN_SECONDS
                if waiting.changes or waiting.requests:
                    busy_until = now + BUSY_SECONDS
                if waiting.changes and not self.faults.postponed("changes"):
                    async with self._step("changes"):
                        await self._changes()
                if waiting.requests and not self.faults.postponed("requests"):
                    async with self._step("requests"):
                        await self._requests()
                if now >= self._next_compare and not self.faults.postponed("comparison"):
                    async with self._step("comparison"):
                        read = self._dialects_read
                        await self._compare()
                        self._next_compare = time.monotonic() + pause
                        self._dialects_followed(read)
            except MooringError as exc:
                log.warning("the broker does not follow the database: %s", exc)
                await asyncio.sleep(1)
            idle = time.monotonic() >= busy_until
            # What was committed may be dialects, and those are not looked at each time.
            longest = DIALECT_LOOK_SECONDS if committed else ASLEEP_SECONDS
            committed = await waker.wait(
                max(bell.pause, IDLE_PAUSE_SECONDS) if idle else bell.pause,
                asleep=min(longest, bell.due_in, self._next_compare - now),
            )

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[None]:
        with self.faults.isolated(name):
            yield

    async def _compare(self) -> None:
        """Compares everything, unless neither side has changed since they were equal."""
        stamp = await self._stamp()
        if stamp is not None and stamp == self._equal and time.monotonic() < self._equal_until:
            return
        self._equal = None
        async with self.turn:
            report = await self._reconciler().full()
        if stamp is not None and not report.differences:
            self._equal = stamp
            self._equal_until = time.monotonic() + COMPARE_ANYWAY_SECONDS

    async def _stamp(self) -> tuple[object, ...] | None:
        if not isinstance(self.authority, SharedAuthority):
            return None
        versions = await asyncio.to_thread(self._versions)
        file = await self.authority.stamp()
        return None if file is None else (versions, file)

    def _versions(self) -> tuple[int, ...]:
        with self.app.database.read() as connection:
            return tuple(version(connection, name) for name in WHAT_ACCOUNTS_ARE_MADE_OF)

    async def _dialects(self, dialects: Current) -> None:
        current = await asyncio.to_thread(dialects.app) if dialects.due else dialects.held
        if current.catalogue is not self.app.catalogue:
            # Another dialect may mean other rights.
            self.app = replace(
                self.app,
                catalogue=current.catalogue,
                devices=current.devices,
            )
            self._dialects_read = dialects.version
            self.compare_soon()
        elif self._dialects_read is None:
            self._dialects_followed(dialects.version)

    def _dialects_followed(self, version: int | None) -> None:
        if version is None:
            return
        self._dialects_read = None
        if version != self.dialects:
            self.dialects = version
            if self.on_dialects is not None:
                self.on_dialects()

    async def _changes(self) -> None:
        if self.before_lock_outs is not None:
            await self.before_lock_outs()
        async with self.turn:
            await self._reconciler().step()

    async def keep(self, broker: BrokerProcess) -> None:
        """Runs until cancelled: restarts a broker that died, with the accounts of the database.

        Its files may be gone or damaged, and that may be why it died.
        """
        young = 0
        while True:
            born = time.monotonic()
            await broker.wait()
            if await broker.runs_again():  # stopped on purpose
                continue
            young = young + 1 if time.monotonic() - born < YOUNG_SECONDS else 0
            said = broker.last_words() or "no word"
            log.warning("the broker ended: %s; starting it again", said)
            await asyncio.sleep(restart_pause(young))
            await self._revive(broker)

    async def _revive(self, broker: BrokerProcess) -> None:
        failures = 0
        while True:
            try:
                async with self.turn, broker.standing_still():
                    if await self._needs_accounts() and await self._database_answers():
                        await self._write()
            except MooringError as exc:
                log.warning("the broker cannot be started: %s", exc)
                failures += 1
                await asyncio.sleep(restart_pause(failures))
            else:
                return

    async def _needs_accounts(self) -> bool:
        """Whether the broker's files are written before it starts: the plugin's only when they
        are lost, since they are changed while the broker is away, too."""
        if not isinstance(self.authority, PluginAuthority):
            return True
        self.compare_soon()
        return not await self.authority.usable()

    async def _database_answers(self) -> bool:
        """Devices can send without it, so the broker then starts with the accounts it had, and
        is compared afterwards."""
        # One question at a time: each that is not answered holds a thread.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(asyncio.to_thread(self._ask))
        try:
            async with asyncio.timeout(ACCOUNTS_SECONDS):
                await asyncio.shield(self._asking)
        except (DatabaseUnavailable, TimeoutError) as exc:
            log.warning("the broker is started with its current accounts: %s", exc or "no answer")
            self.compare_soon()
            return False
        return True

    def _ask(self) -> None:
        with self.app.database.read() as connection:
            version(connection, "devices")

    async def _write(self) -> None:
        """The files of the stopped broker."""
        accounts = await write_accounts(self.app)
        await self._take(build_authority(self.app, restart=self._restart, written=accounts))

    async def _take(self, authority: Authority) -> None:
        before, self.authority = self.authority, authority
        if isinstance(before, PluginAuthority):
            await before.close()

    def _reconciler(self) -> Reconciler:
        app = self.app
        return Reconciler(
            app.database, app.devices, app.instance, self.authority, service_endpoint(app)
        )

    # ------------------------------------------------------------------ requests

    def _forget_requests(self) -> None:
        with self.app.database.write() as connection:
            requests.drop_open(connection, "The platform was restarted before it was done.")

    async def _requests(self) -> None:
        while (request := await asyncio.to_thread(self._next_request)) is not None:
            log.info("%s asks: %s", request.actor, request.action)
            state = RequestState.DONE
            try:
                async with self.turn:
                    result = await self._do(request)
            except MooringError as exc:
                state, result = RequestState.FAILED, {"message": exc.message, "hint": exc.hint}
            except Exception:
                log.exception("the request %s of %s failed", request.action, request.actor)
                state, result = RequestState.FAILED, FAULT
            await asyncio.to_thread(self._answer, request, state, result)

    async def _do(self, request: Request) -> dict[str, Any]:
        match request.action:
            case RequestAction.COMPARE:
                return report_document(await self._reconciler().full(dry_run=True))
            case RequestAction.SYNC:
                return report_document(await self._reconciler().full())
            case RequestAction.RELOAD:
                await reload_broker(self.app)
                return {}
            case RequestAction.MIGRATE:
                return await self._migrate(str(request.argument["to"]))

    async def _migrate(self, to: str) -> dict[str, Any]:
        app, accounts, count = await switch(self.app, self._broker, to)
        self.app = app
        await self._take(build_authority(app, restart=self._restart, written=accounts))
        await self._moved(app)
        report = await self._reconciler().full()
        return {"accounts": count, **report_document(report)}

    def _next_request(self) -> Request | None:
        with self.app.database.write() as connection:
            return requests.take(connection)

    def _answer(self, request: Request, state: RequestState, result: dict[str, Any]) -> None:
        with self.app.database.write() as connection:
            requests.finish(connection, request.id, state, result)


async def _look(bell: Bell, *, whatever: bool) -> Waiting:
    """SQLite answers in microseconds; a server may not answer at all."""
    if bell.waits:
        return await asyncio.to_thread(bell.look, whatever=whatever)
    return bell.look(whatever=whatever)


def report_document(report: Report) -> dict[str, Any]:
    """A comparison as JSON; usernames and words, no secrets."""
    return {
        "differences": [asdict(difference) for difference in report.differences],
        "mended": report.mended,
        "restarted": report.restarted,
        "needs_restart": list(report.needs_restart),
    }
