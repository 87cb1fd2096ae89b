"""Asking the plugin to take in changes, and its answer: which change is in force."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import mqtt5

from mooring.broker.connection import Connection, Endpoint
from mooring.errors import BrokerUnavailable

__all__ = ["CONTROL", "DAMAGED", "UNUSABLE", "PluginControl"]

UNUSABLE = "accounts_file_damaged"
"""Code of the error when the plugin finds its file damaged, whatever others read in it."""

CONTROL = "$CONTROL/mooring-authority/v1"
RESPONSE = f"{CONTROL}/response"
ANSWER_SECONDS = 10.0
FORCE_SECONDS = 60.0
"""Time limit for one change and all that it causes: 1,000 sessions end in under a second."""
AGAIN_SECONDS = 0.002
DAMAGED = frozenset({"corrupt", "format"})
DAMAGED_SECONDS = 2.0  # the plugin looks again immediately when the file is another one


class PluginControl:
    """One connection of the platform's account, kept open; opened again when it broke."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()
        self._in_force = -1
        self._others: list[bytes] = []  # what came before the newest answer
        self.answer: dict[str, Any] = {}
        """The plugin's newest answer: its counters and the state of its file."""

    async def in_force(self, number: int) -> None:
        """Returns when the plugin says that change ``number`` is in force and every session
        that it ends has ended.

        Raises:
            BrokerUnavailable: no broker, no such plugin, or it cannot read its file.
        """
        async with self._lock:
            if self._in_force >= number:  # who asked before us has asked for us, too
                return
            try:
                async with asyncio.timeout(FORCE_SECONDS):
                    await self._until(number)
            except TimeoutError as exc:
                raise BrokerUnavailable(
                    f"The broker's plugin did not apply change {number} within "
                    f"{FORCE_SECONDS:g} s: {self.answer.get('file', 'no answer')}.",
                    hint="See the broker's log.",
                    code="authority_behind",
                ) from exc

    async def ask(self, *, replay: bool = False) -> dict[str, Any]:
        """The plugin's figures now; with ``replay`` it also tells every live login again.
        Raises as ``in_force``."""
        async with self._lock:
            return await self._asked({"replay": True} if replay else {})

    async def about(self, username: str) -> list[bytes]:
        """Events of a login that the plugin counts and has not sent yet: repeated rejections are
        sent once a minute. They stay counted. Raises as ``in_force``."""
        async with self._lock:
            await self._asked({"about": username.encode().hex()})
            return list(self._others)

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _until(self, number: int) -> None:
        damaged_since: float | None = None
        while True:
            answer = await self._asked({})
            now = asyncio.get_running_loop().time()
            if answer.get("file") not in DAMAGED:
                damaged_since = None
            elif now - (damaged_since := damaged_since or now) > DAMAGED_SECONDS:
                raise BrokerUnavailable(
                    f"The broker's plugin cannot use its accounts file: {answer['file']}.",
                    code="accounts_file_damaged",
                )
            if int(answer.get("seq", -1)) >= number and not answer.get("pending_kicks"):
                self._in_force = int(answer["seq"])
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _asked(self, more: dict[str, Any]) -> dict[str, Any]:
        """One question. A kept connection may have ended meanwhile: then over a new one."""
        reused = self._connection is not None
        try:
            return await self._exchange(more)
        except BrokerUnavailable:
            await self._drop()
            if not reused:
                raise
        try:
            return await self._exchange(more)
        except BrokerUnavailable:
            await self._drop()
            raise

    async def _exchange(self, more: dict[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            self._in_force = -1  # perhaps another broker
            self._connection = await Connection.open(self._endpoint, keep_alive=0)
            await self._connection.subscribe([RESPONSE])
        nonce = secrets.token_hex(8)
        self._others.clear()
        await self._connection.publish(CONTROL, json.dumps({"nonce": nonce, **more}).encode())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while True:
                    packet = await self._connection.read()
                    answer = _answer(packet)
                    if answer is None:
                        continue
                    if answer.get("nonce") == nonce:
                        self.answer = answer
                        return answer
                    if isinstance(packet, mqtt5.PublishPacket) and "kind" in answer:
                        self._others.append(bytes(packet.payload))
        except TimeoutError as exc:
            raise BrokerUnavailable(
                f"The broker's plugin did not answer within {ANSWER_SECONDS:g} s.",
                hint="Does the broker load Mooring's plugin? See its log.",
                code="authority_silent",
            ) from exc

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _answer(packet: mqtt5.Packet) -> dict[str, Any] | None:
    if not isinstance(packet, mqtt5.PublishPacket) or packet.topic != RESPONSE:
        return None
    try:
        found = json.loads(bytes(packet.payload))
    except ValueError:
        return None  # another program asked in its own way
    return found if isinstance(found, dict) else None
