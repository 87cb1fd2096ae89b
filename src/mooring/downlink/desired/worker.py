"""Keeps the broker's retained documents as the database wants them.

Changes are published as they are committed. Everything is compared when the connection was
made, because the broker may have come up empty or with an older state, and on a schedule; only
differences are sent. All of it can be done again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import mqtt5

from mooring.broker.connection import Connection
from mooring.broker.connection import Endpoint as Control
from mooring.downlink.desired import store
from mooring.downlink.desired.rules import MARK, Held, difference, digest
from mooring.downlink.desired.store import Document
from mooring.errors import BrokerUnavailable, Internal
from mooring.link.connection import FAILURE, NeverSent
from mooring.link.mqtt import MqttLink
from mooring.secrets.instance import Instance
from mooring.store.engine import Database, now_ms
from mooring.supervisor.rows import RowFaults

__all__ = ["DesiredKeeper"]

log = logging.getLogger(__name__)

BATCH = 256
FILTERS_AT_ONCE = 100
ANSWER_SECONDS = 10.0


class DesiredKeeper:
    """Used by one task, which holds the lease.

    Args:
        control: the platform's own account, for connections that look.
        filters: where documents of ours may be, as the dialects are now.
        compare_seconds: between two comparisons of everything.
    """

    def __init__(
        self,
        database: Database,
        instance: Instance,
        control: Control,
        filters: Callable[[], Sequence[str]],
        *,
        compare_seconds: float,
    ) -> None:
        self._database = database
        self._instance = instance
        self._control = control
        self._filters = filters
        self._compare_seconds = compare_seconds
        self._compare_at = 0.0  # monotonic
        self._alone = 0  # so many documents are sent one by one: one of them ended the connection
        self.faults = RowFaults("the retained document", passing=())

    def compare_soon(self) -> None:
        """Everything is compared in the next step."""
        self._compare_at = 0.0

    async def step(self, link: MqttLink) -> int:
        """Compares if it is time, and publishes what is pending; how many were sent.

        Raises:
            BrokerUnavailable: the comparison is made again later.
            DatabaseUnavailable: nothing is lost; call again.
        """
        if time.monotonic() >= self._compare_at:
            self._compare_at = time.monotonic() + self._compare_seconds
            try:
                await self.compare(link)
            except BrokerUnavailable:
                self._compare_at = time.monotonic() + 1.0
                raise
        sent, after = 0, ""
        while True:
            limit = 1 if self._alone else BATCH
            batch = await asyncio.to_thread(self._pending, after, limit)
            if not batch:
                return sent
            after = batch[-1].topic
            due = [one for one in batch if not self.faults.postponed(one.topic)]
            results = await asyncio.gather(*(self._publish(link, one) for one in due))
            done = [one for one, taken in zip(due, results, strict=True) if taken]
            await asyncio.to_thread(self._settle, done)
            sent += len(done)
            self._alone = max(0, self._alone - 1)
            if not link.connected:
                self._alone = BATCH
                return sent

    async def compare(self, link: MqttLink) -> None:
        """Finds what the broker lacks or has too much, and sets that right."""
        if not await asyncio.to_thread(self._prepare):
            return
        filters = list(dict.fromkeys(self._filters()))
        held = await self._held(filters)
        wanted = await asyncio.to_thread(self._wanted)
        # What no dialect's filter covers is asked for by its topic.
        unseen = [topic for topic in wanted if topic not in held]
        held |= await self._held(unseen)
        found = difference(wanted, held)
        if found.publish:
            log.info("%d retained documents are published again", len(found.publish))
        await asyncio.to_thread(self._mark, [t for t in found.publish if t in wanted])
        strays = [topic for topic in found.clear if topic not in wanted]
        if strays:
            log.info("%d retained documents that nothing wants are cleared", len(strays))
        for topic in strays:
            await link.deliver(topic, b"", retain=True, within=ANSWER_SECONDS)

    async def _held(self, filters: Sequence[str]) -> dict[str, Held]:
        """What is retained under these filters."""
        found: dict[str, Held] = {}
        for start in range(0, len(filters), FILTERS_AT_ONCE):
            part = filters[start : start + FILTERS_AT_ONCE]
            async with await Connection.open(self._control) as connection:
                async for packet in connection.retained_messages(part):
                    ours = any(name == MARK for name, _ in packet.user_properties)
                    found[packet.topic] = Held(digest(packet.payload), ours)
        return found

    async def _publish(self, link: MqttLink, document: Document) -> bool:
        taken: list[bool] = []
        with self.faults.isolated(document.topic):
            taken.append(await self._taken(link, document))
        return any(taken)

    async def _taken(self, link: MqttLink, document: Document) -> bool:
        """Raises ``BrokerUnavailable`` for what is not acknowledged or rejected."""
        try:
            code = int(
                await link.deliver(
                    document.topic,
                    self._payload(document),
                    qos=document.qos,
                    retain=True,
                    properties=[(MARK, str(document.version))] if document.payload else (),
                    within=ANSWER_SECONDS,
                )
            )
        except NeverSent:
            return False
        if code < FAILURE:
            return True
        name = mqtt5.PubAckReasonCode(code).name.lower().replace("_", " ")
        words = f"The broker rejected it: {name}."
        await asyncio.to_thread(self._refuse, document.topic, words)
        raise BrokerUnavailable(words, code="broker_refused")

    def _digest(self, document: Document) -> bytes:
        try:
            return digest(self._payload(document))
        except Internal:
            # It differs from whatever the broker has, so publishing it records the error.
            return digest(document.payload or b"")

    def _payload(self, document: Document) -> bytes:
        """Raises ``Internal`` for one that was sealed with another installation's key."""
        payload = document.payload or b""
        return self._instance.unseal_bytes(payload) if document.sealed else payload

    # ------------------------------------------------------------------ the database

    def _prepare(self) -> bool:
        """Whether there is, or lately was, anything to compare."""
        with self._database.write() as connection:
            store.release_removed(connection, now_ms())
            return store.ever_used(connection)

    def _wanted(self) -> dict[str, bytes | None]:
        with self._database.read() as connection:
            return {
                one.topic: None if one.payload is None else self._digest(one)
                for page in store.pages(connection)
                for one in page
            }

    def _pending(self, after: str, limit: int) -> list[Document]:
        with self._database.read() as connection:
            return store.pending(connection, after, limit)

    def _mark(self, topics: Sequence[str]) -> None:
        if topics:
            with self._database.write() as connection:
                store.mark(connection, topics)

    def _settle(self, documents: Sequence[Document]) -> None:
        if documents:
            with self._database.write() as connection:
                store.settle(connection, documents)

    def _refuse(self, topic: str, error: str) -> None:
        with self._database.write() as connection:
            store.refuse(connection, topic, error)
