"""The WebSocket of an open page.

Who it is comes from the cookie, and only pages of this server may open it. It is sent something at
least every two seconds, so that a page can say within five that it is not connected, and it is
closed within five seconds of the session's end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from mooring.app import App
from mooring.clock import now_ms
from mooring.dashboard import session
from mooring.dashboard.live.collector import Collector
from mooring.dashboard.live.trouble import Trouble
from mooring.dashboard.live.watch import Outbox, Topic, parse
from mooring.errors import DatabaseUnavailable, Forbidden, MooringError, Unauthorized
from mooring.identity.actor import Actor
from mooring.stream.hub import Hub
from mooring.supervisor.worker import Worker
from mooring.web import websockets

__all__ = [
    "PATH",
    "TABS_MAX",
    "TABS_MAX_PER_LOGIN",
    "TABS_MAX_PER_TENANT",
    "Code",
    "Sockets",
]

log = logging.getLogger(__name__)

PATH = "/live"
BEAT_SECONDS = 2.0
CHECK_SECONDS = 4.0  # between two looks whether logins are still valid
ASKS_SECONDS = 0.1  # between two messages of a page
TABS_MAX = 2_000  # of one process
TABS_MAX_PER_TENANT = 500
TABS_MAX_PER_LOGIN = 50

Authenticate = Callable[[Iterable[str]], Mapping[str, Actor | Unauthorized]]


class Code:
    """Why the server closes a connection: RFC 6455, 7.4, and numbers of our own from 4000."""

    RESTART = 1012
    UNAVAILABLE = 1013
    INVALID = 4400
    SESSION_OVER = 4401
    OTHER_ORIGIN = 4403
    FULL = 4429


class _Page:
    """One open page: a ``Tab`` of the collector."""

    def __init__(self, websocket: WebSocket, actor: Actor, secret: str) -> None:
        self.actor, self.secret = actor, secret
        self.websocket = websocket
        self.outbox = Outbox()
        self.faults: list[dict[str, Any]] = []
        self.dropped = 0
        self.news = False  # of what does not answer
        self.work = asyncio.Event()

    def put(self, topic: Topic, values: Mapping[str, Any], *, whole: bool = False) -> None:
        self.dropped += self.outbox.put(topic, values, whole=whole)
        self.work.set()

    def fail(self, topic: Topic, fault: MooringError) -> None:
        if len(self.faults) < 32:
            error = {"topic": str(topic), "code": fault.slug, "message": fault.message}
            self.faults.append({"error": error})
        self.work.set()

    async def close(self, code: int) -> None:
        await websockets.close(self.websocket, code)


class Sockets:
    """All open pages of one serving process.

    Args:
        platform: the services as they are now.
        authenticate: the owners of tokens; called in a thread.
        count: counts what is rejected or left out, by the name of its counter.
        connected: whether this process's connection to the broker is up.
    """

    def __init__(
        self,
        hub: Hub,
        platform: Callable[[], Awaitable[App]],
        authenticate: Authenticate,
        count: Callable[[str, int], None],
        connected: Callable[[], bool],
    ) -> None:
        self.collector = Collector(hub, platform)
        self._authenticate = authenticate
        self._count = count
        self._pages: set[_Page] = set()
        self._of_login: Counter[tuple[str, str | None]] = Counter()
        self._of_tenant: Counter[str] = Counter()  # logins without a tenant are not counted here
        self._trouble = Trouble(platform, connected, lambda: bool(self._pages), self._notify)

    def workers(self) -> tuple[Worker, ...]:
        """Its lasting work, and the collector's."""
        return (
            *self.collector.workers(),
            Worker("dashboard logins", self._check),
            Worker("dashboard trouble", self._trouble.run),
        )

    async def close(self) -> None:
        """Closes every page's connection: the process ends."""
        await asyncio.gather(
            *(page.close(Code.RESTART) for page in list(self._pages)), return_exceptions=True
        )

    def __len__(self) -> int:
        return len(self._pages)

    # ------------------------------------------------------------------ one page

    async def serve(self, websocket: WebSocket) -> None:
        """Talks to a page until it goes or is closed."""
        await websocket.accept()
        code, actor, secret = await self._login(websocket)
        if actor is None:
            await websocket.close(code)
            return
        login = (actor.name, actor.tenant)
        if self._full(login):
            self._count("dashboard_tabs_rejected", 1)
            await websocket.close(Code.FULL)
            return
        page = _Page(websocket, actor, secret)
        self._pages.add(page)
        self._trouble.wake.set()
        self._of_login[login] += 1
        if actor.tenant is not None:
            self._of_tenant[actor.tenant] += 1
        try:
            await self._talk(page)
        finally:
            self._pages.discard(page)
            _less(self._of_login, login)
            if actor.tenant is not None:
                _less(self._of_tenant, actor.tenant)
            self.collector.leave(page)
            if page.dropped:
                self._count("dashboard_rows_dropped", page.dropped)

    def _full(self, login: tuple[str, str | None]) -> bool:
        """Whether one more page of this login would take the place of others'."""
        tenant = login[1]
        return (
            len(self._pages) >= TABS_MAX
            or self._of_login[login] >= TABS_MAX_PER_LOGIN
            or (tenant is not None and self._of_tenant[tenant] >= TABS_MAX_PER_TENANT)
        )

    async def _login(self, websocket: WebSocket) -> tuple[int, Actor | None, str]:
        connection: HTTPConnection = websocket
        try:
            session.check_origin(connection)
        except Forbidden:
            self._count("dashboard_tabs_rejected", 1)
            return Code.OTHER_ORIGIN, None, ""
        secret = session.token_of(connection)
        if not secret:
            return Code.SESSION_OVER, None, ""
        try:
            found = (await asyncio.to_thread(self._authenticate, [secret]))[secret]
        except DatabaseUnavailable:
            return Code.UNAVAILABLE, None, ""
        if isinstance(found, Unauthorized):
            return Code.SESSION_OVER, None, ""
        address = websocket.client.host if websocket.client else "unknown"
        return 0, replace(found, origin=address), secret

    async def _talk(self, page: _Page) -> None:
        tasks = {asyncio.create_task(self._hear(page)), asyncio.create_task(self._speak(page))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _hear(self, page: _Page) -> None:
        while True:
            message = await page.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                topics = parse(message.get("text") or message.get("bytes") or "")
            except MooringError:
                await page.close(Code.INVALID)
                return
            page.outbox.keep(topics)
            self.collector.watch(page, topics)
            await asyncio.sleep(ASKS_SECONDS)

    async def _speak(self, page: _Page) -> None:
        loop = asyncio.get_running_loop()
        await self._send(page, self._beat())
        sent_at = loop.time()
        while True:
            due = page.outbox.due()
            wait = sent_at + BEAT_SECONDS - loop.time()
            if due is not None:
                wait = min(wait, due - loop.time())
            page.work.clear()
            if wait > 0 and not page.faults and not page.news:
                try:
                    async with asyncio.timeout(wait):
                        await page.work.wait()
                except TimeoutError:
                    pass  # something is due
            messages = [*page.faults, *page.outbox.take(loop.time())]
            page.faults.clear()
            if not messages and (page.news or loop.time() - sent_at >= BEAT_SECONDS):
                messages = [{}]
            page.news = False
            for message in messages:
                if not await self._send(page, message | self._beat()):
                    return
                sent_at = loop.time()

    @staticmethod
    async def _send(page: _Page, message: dict[str, Any]) -> bool:
        text = msgspec.json.encode(message).decode()
        try:
            await page.websocket.send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError, WebSocketDisconnect):
            return False  # it has gone, or another task has closed it
        return True

    def _beat(self) -> dict[str, Any]:
        """What every message says: the time, and what does not answer."""
        return {"now": now_ms(), "trouble": self._trouble.now}

    def _notify(self) -> None:
        """Every page is notified now of what does not answer, or answers again."""
        for page in self._pages:
            page.news = True
            page.work.set()

    # ------------------------------------------------------------------ logins

    async def _check(self) -> None:
        """Ends connections whose session has ended."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            pages = list(self._pages)
            secrets = {one.secret for one in pages}
            if not secrets:
                continue
            try:
                found = await asyncio.to_thread(self._authenticate, secrets)
            except DatabaseUnavailable as exc:
                log.warning("logins of open pages are checked later: %s", exc)
                continue
            over: list[tuple[_Page, int]] = []
            for page in pages:
                now = found[page.secret]
                if isinstance(now, Unauthorized):
                    over.append((page, Code.SESSION_OVER))
                elif (now.role, now.tenant) != (page.actor.role, page.actor.tenant):
                    over.append((page, Code.RESTART))  # it comes back with the rights of now
            # Not one after the other: a page that does not read delays no other's end.
            await asyncio.gather(*(page.close(code) for page, code in over))


def _less(numbers: Counter[Any], key: Any) -> None:
    numbers[key] -= 1
    if not numbers[key]:
        del numbers[key]
