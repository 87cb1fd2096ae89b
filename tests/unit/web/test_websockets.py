"""The end of a WebSocket, whether or not its client reads; and logins that have ended."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.websockets import WebSocket

from mooring.dashboard.live import socket as dashboard
from mooring.dashboard.live.socket import Code, Sockets
from mooring.errors import Unauthorized
from mooring.identity.actor import Actor, Role
from mooring.stream import streams as api
from mooring.stream.api import WebSocketClient
from mooring.stream.streams import Streams
from mooring.web import websockets

ADA = Actor("ada", Role.VIEWER, "acme")


class Client:
    """The server's side of a connection whose client reads, or does not."""

    def __init__(self, *, reads: bool) -> None:
        self.reads = reads
        self.codes: list[int] = []
        self.websocket = WebSocket({"type": "websocket", "headers": []}, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def _send(self, message: Any) -> None:
        if message["type"] != "websocket.close":
            return
        if not self.reads:
            await asyncio.Event().wait()
        self.codes.append(message["code"])

    async def open(self) -> Client:
        await self.websocket.accept()
        return self


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websockets, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(dashboard, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(api, "CHECK_SECONDS", 0.01)


def test_a_client_that_does_not_read_is_waited_for_briefly() -> None:
    async def play() -> None:
        silent = await Client(reads=False).open()
        async with asyncio.timeout(20):
            await websockets.close(silent.websocket, 4401)
        with pytest.raises(RuntimeError):  # nothing more is sent to it
            await silent.websocket.send_text("more")
        await websockets.close(silent.websocket, 4401)
        assert silent.codes == []

    asyncio.run(play())


async def _ended(check: Any, client: Client, code: int) -> None:
    task = asyncio.ensure_future(check)
    try:
        async with asyncio.timeout(20):
            while not client.codes:  # noqa: ASYNC110 - set by the task
                await asyncio.sleep(0.005)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert client.codes == [code]


def _nobody(secrets: Any) -> dict[str, Unauthorized]:
    return {secret: Unauthorized("over", code="session_over") for secret in secrets}


def test_pages_that_do_not_read_delay_no_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        sockets = Sockets(None, None, _nobody, None, None)  # type: ignore[arg-type]
        clients = [await Client(reads=False).open() for _ in range(3)]
        reading = await Client(reads=True).open()
        pages = [dashboard._Page(one.websocket, ADA, str(n)) for n, one in enumerate(clients)]
        # As a list: the one that reads is the last one.
        sockets._pages = [*pages, dashboard._Page(reading.websocket, ADA, "r")]  # type: ignore[assignment]
        await _ended(sockets._check(), reading, Code.SESSION_OVER)

    monkeypatch.setattr(websockets, "CLOSE_SECONDS", 3600.0)
    asyncio.run(play())


def test_clients_of_the_stream_that_do_not_read_delay_no_other_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play() -> None:
        silent, reading = await Client(reads=False).open(), await Client(reads=True).open()
        listeners = [
            api._Listener(WebSocketClient(one.websocket), secret, SimpleNamespace(actor=ADA))  # type: ignore[arg-type]
            for one, secret in ((silent, "s"), (reading, "r"))
        ]
        streams = SimpleNamespace(_listeners=listeners, _authenticate=_nobody)
        await _ended(Streams._check(streams), reading, api.Code.LOGIN)  # type: ignore[arg-type]

    monkeypatch.setattr(websockets, "CLOSE_SECONDS", 3600.0)
    asyncio.run(play())
