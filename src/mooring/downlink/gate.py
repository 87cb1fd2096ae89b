"""Whether a device listens, as far as the broker's log says; and what wakes the sender.

With Mooring's plugin ``mooring.downlink.plugin_gate`` knows more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from mooring.downlink.protocol import Asked, Listening
from mooring.errors import BrokerUnavailable
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Subscription
from mooring.store.engine import Database, now_ms
from mooring.store.schema import device_state

__all__ = ["NUDGE", "SETTLE_MS", "WORK", "ConnectedGate", "Ears", "nudge_of"]

log = logging.getLogger(__name__)

WORK = "downlinks"
"""What a transaction tells of that writes live messages: see ``Database.write``."""

NUDGE = "$mooring/downlinks/new"
"""A process that has written a live message publishes here, so that it is sent without delay. It
is an optimisation: the message is found without it, some tens of milliseconds later. It may name
messages (``nudge_of``): their devices are asked about while the database is."""

SETTLE_MS = 2_000
"""After a device has connected, for its subscriptions, which this broker does not tell of."""

NAMES_MAX = 50_000  # devices that subscribed and were not looked at yet
HINTS_MAX = 64  # messages in one nudge, and those that were not looked at yet
_HINTS = msgspec.json.Decoder(list[tuple[int, int, str, str]])


def nudge_of(hints: Sequence[tuple[int | str, ...]]) -> bytes:
    """The payload of ``NUDGE``: the values of ``Asked`` of new messages, or nothing."""
    return msgspec.json.encode(hints[:HINTS_MAX]) if hints else b""


class ConnectedGate:
    """A device listens when it has been connected for some seconds.

    The broker's log names connections, and no subscription that can be trusted. That nobody is
    subscribed to the topic is known from the broker's answer to the message itself. Where no
    log is read (an attached broker), a device counts as connected while it reports to be online.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listening(self, asked: Sequence[Asked]) -> Mapping[int, Listening]:
        return await asyncio.to_thread(self._listening, asked)

    def _listening(self, asked: Sequence[Asked]) -> dict[int, Listening]:
        c = device_state.c
        at = now_ms()
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(c.device_id, c.connected, c.connected_at, c.online).where(
                    c.device_id.in_(sorted({one.device_id for one in asked}))
                )
            ).all()
        known = {row[0]: _words(row[1], row[2], row[3], at) for row in rows}
        return {one.id: Listening(said) for one in asked if (said := known.get(one.device_id))}


def _words(connected: bool | None, since: int | None, online: bool | None, at: int) -> str | None:
    if connected is None:
        return "The device reports to be online." if online else None
    if not connected or at - (since or 0) < SETTLE_MS:
        return None
    return "The device was connected; its subscriptions are not known on this broker."


class Ears:
    """Reads what arrives on the sender's connection. Without filters it hears nothing."""

    filters: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._poked = False
        self.on_poke: Callable[[], object] = lambda: None
        """Called when something is heard."""
        self._awake: dict[str, None] = {}
        self._hints: list[Asked] = []
        self._task: asyncio.Task[None] | None = None

    def take_poke(self) -> bool:
        """Whether anything was heard since the last time."""
        found, self._poked = self._poked, False
        return found

    def take_awake(self) -> list[str]:
        """Usernames that subscribed since the last time."""
        found, self._awake = list(self._awake), {}
        return found

    def take_hints(self) -> list[Asked]:
        """Messages that were named since the last time. Only the database knows whether they are
        to be sent."""
        found, self._hints = self._hints, []
        return found

    def nudged(self, payload: bytes) -> None:
        """There are new messages."""
        try:
            hints = _HINTS.decode(payload) if payload else []
        except msgspec.MsgspecError:
            hints = []  # of another version; the messages are found without
        if len(self._hints) + len(hints) <= HINTS_MAX:
            self._hints += [Asked(*one) for one in hints]
        self.poke()

    async def subscribe(self, link: MqttLink) -> None:
        """Before the link is started."""
        if self.filters:
            await link.subscribe([Subscription(one, 0) for one in self.filters])

    def listen(self, link: MqttLink) -> None:
        """Reads from a started link until ``close``."""
        if self.filters:
            self._task = asyncio.create_task(self._read(link), name="downlinks: ears")
            self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def lost(self) -> None:
        """The connection has ended."""

    def heard(self, topic: str, payload: bytes) -> None:
        """One message. A nudge has no other meaning than to look now."""

    def awake(self, username: str) -> None:
        """A device has subscribed."""
        if len(self._awake) < NAMES_MAX:
            self._awake[username] = None
        self.poke()

    def poke(self) -> None:
        self._poked = True
        self.on_poke()

    async def _read(self, link: MqttLink) -> None:
        while True:
            batch = await link.take(1_000, 0)
            for packet in batch.packets:
                self.heard(packet.topic, bytes(packet.payload))
            link.acknowledge(batch)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("the sender hears nothing any more: %s", task.exception())


def silent(reason: str) -> BrokerUnavailable:
    """The error of a gate that gets no answer."""
    return BrokerUnavailable(reason, hint="Does the broker load Mooring's plugin? See its log.")
