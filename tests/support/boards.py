"""Many devices of the dialect ``mooring`` on one event loop, in a thread of its own.

Each connects again whenever it loses its connection. It answers every command, reports the
settings it gets and then connects again, and takes a new password.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tests.support.platform import Login
from tests.support.raw_mqtt import connect_packet, packet, publish_packet, subscribe_packet

__all__ = ["Board", "Boards", "ping", "receive_packet"]

AGAIN_SECONDS = 0.2
PING_SECONDS = 5.0


class Board:
    """One device.

    Attributes:
        commands: the id of a command → how often it was received.
        versions: of settings, in the order in which they were received.
        passwords: those it was given, the first one included.
    """

    def __init__(self, login: Login, port: int) -> None:
        self.login = login
        self._port = port
        self.commands: Counter[str] = Counter()
        self.versions: list[int] = []
        self.passwords = [login.password]
        self.sessions = 0
        self._base = f"mooring/{login.tenant}/{login.device}"
        self._again = False
        self._refused = False
        self._number = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(OSError, EOFError, asyncio.IncompleteReadError, TimeoutError):
                await self._session()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _session(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            # Between two passwords it tries both.
            password = self.passwords[-2 if self._refused and len(self.passwords) > 1 else -1]
            who = self.login
            writer.write(connect_packet(who.client_id, who.username, password, keep_alive=30))
            async with asyncio.timeout(20):
                _, answer = await receive_packet(reader)
            self._refused = answer[1] != 0 and not self._refused
            if answer[1] != 0:
                return
            self.sessions += 1
            writer.write(subscribe_packet(f"{self._base}/command/+", f"{self._base}/config"))
            pings = asyncio.create_task(ping(writer))
            try:
                self._again = False
                while not self._again:
                    async with asyncio.timeout(4 * PING_SECONDS):
                        kind, body = await receive_packet(reader)
                    if kind & 0xF0 == 0x30:
                        self._received(writer, kind, body)
                await writer.drain()
            finally:
                pings.cancel()
        finally:
            writer.close()

    def _received(self, writer: asyncio.StreamWriter, kind: int, body: bytes) -> None:
        after = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:after].decode()
        if kind & 0x06:
            writer.write(packet(0x40, body[after : after + 2]))
            after += 2
        message: dict[str, Any] = json.loads(body[after:] or b"{}")
        if topic.endswith("/config"):
            self._configured(writer, message)
            return
        uid = str(message["id"])
        self.commands[uid] += 1
        password = message.get("args", {}).get("password")
        if password is not None:
            if password not in self.passwords:
                self.passwords.append(password)
            self._again = True
        self._says(writer, "reply", {"id": uid, "ok": True})

    def _configured(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        version = int(message["version"])
        if version not in self.versions:  # what may have broken its connection shows now
            self._again = True
        self.versions.append(version)
        self._says(writer, "config/reported", {"version": version, "ok": True, "config": {}})

    def _says(self, writer: asyncio.StreamWriter, channel: str, what: dict[str, Any]) -> None:
        self._number = self._number % 60_000 + 1
        topic, payload = f"{self._base}/{channel}", json.dumps(what).encode()
        writer.write(publish_packet(topic, payload, packet_id=self._number))


class Boards:
    """All of them; a context manager that ends their connections."""

    def __init__(self, logins: Iterable[Login], port: int) -> None:
        self.all = [Board(login, port) for login in logins]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="boards")
        self._tasks: list[Any] = []

    @property
    def connected(self) -> int:
        """How many have had a session."""
        return sum(one.sessions > 0 for one in self.all)

    def __enter__(self) -> Self:
        self._thread.start()
        self._tasks = [asyncio.run_coroutine_threadsafe(one.run(), self._loop) for one in self.all]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _end(self) -> None:
        others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def receive_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next packet: first byte and body."""
    kind = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return kind, await reader.readexactly(size)


async def ping(writer: asyncio.StreamWriter) -> None:
    """Keeps a connection alive until cancelled."""
    while True:
        await asyncio.sleep(PING_SECONDS)
        writer.write(b"\xc0\x00")
