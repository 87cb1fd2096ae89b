"""The main flow: take a batch, plan it, commit it, acknowledge it, give receipts.

One thread does it all with SQLite. While it commits, the socket waits, and what arrives
meanwhile is the next batch; that costs less than handing work between threads under one
interpreter lock. A sink that waits for a network is asked from a thread of its own, so that a
server that does not answer cannot silence the link.
A database that does not take the batch is asked again, the broker keeps what it has not been
acknowledged, and nothing is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mqtt5 import PublishPacket

from mooring.devices.following import follow
from mooring.devices.index import DeviceIndex
from mooring.dialects import Catalogue
from mooring.dialects.live import LiveCatalogue
from mooring.dialects.model import Kind
from mooring.dialects.payload import PayloadLimits
from mooring.errors import BrokerRefusesUs, BrokerUnavailable, DatabaseUnavailable
from mooring.identity.account import Quota
from mooring.ingest import channels, filters
from mooring.ingest.ledger import Ledger
from mooring.ingest.limiter import REFRESH_SECONDS, Limiter
from mooring.ingest.newest import newest_payloads
from mooring.ingest.pacing import Pace
from mooring.ingest.plan import Plan
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import Route, RouteTable
from mooring.ingest.sink import Committed, Sink
from mooring.link.protocol import Batch, Link, Subscription
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.supervisor.supervisor import Supervisor
from mooring.supervisor.worker import Worker

__all__ = ["Figures", "Ingest"]

Answer = TypeVar("Answer")
_DONE = object()

log = logging.getLogger(__name__)

RETRY_FIRST, RETRY_MOST = 0.05, 2.0
CONNECT_SECONDS = 30.0  # how long the first connection to the broker is tried for
# A server is not asked before every batch what has changed, unless a topic is not known.
LOOK_SECONDS = 0.01
WATCH_SECONDS = 0.5  # how soon a quiet ingest follows a changed dialect


@dataclass(slots=True)
class Figures:
    """What this process has done since it started."""

    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    batches: int = 0
    largest_batch: int = 0
    retries: int = 0
    rate: float = 0.0


class Ingest:
    """Moves messages from a link to a sink.

    Args:
        settings: limits and pace.
        database: where versions of channels are kept.
        catalogue: the dialects, until they change.
        link: where messages come from; started by ``run``.
        sink: where they go.
        client_id: of the link's session; the ledger of packet ids goes by it.
        projections: what the sink derives from messages.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        catalogue: Catalogue,
        link: Link,
        sink: Sink,
        client_id: str,
        projections: Projections,
    ) -> None:
        self._projections = projections
        self._database = database
        self._link = link
        self._sink = sink
        self._sink_thread = ThreadPoolExecutor(1, "sink") if sink.waits else None
        self._client_id = client_id
        self._batch_max = settings.ingest_batch_max
        self._limits = PayloadLimits(
            max_bytes=settings.payload_max_bytes,
            max_depth=settings.payload_max_depth,
            max_metrics=settings.payload_max_metrics,
        )
        self._pace = Pace(settings.ingest_linger_ms / 1000)
        self._ledger = Ledger(settings.ingest_in_flight, sink.ledger(self._client_id))
        # Its number is read together with others: see ``Sink.versions``.
        self._dialects = LiveCatalogue(settings.dialects_dir, lambda: self._versions[1], catalogue)
        self._catalogue = catalogue
        self._index = DeviceIndex(catalogue)
        self._following = asyncio.Lock()
        self._versions = (-1, -1)
        self._dialects_changed = asyncio.Event()
        self.followed = -1  # the version of the dialects whose topics are subscribed
        self.on_followed: Callable[[], None] = lambda: None
        self._number_filters()
        self._looked_at = float("-inf")
        self._limiter = None
        if settings.authority != "plugin":  # which keeps them before it acknowledges
            self._limiter = Limiter(
                Quota(None, settings.device_messages_per_second, settings.device_bytes_in_force),
                Quota(None, settings.tenant_messages_per_second, settings.tenant_bytes_per_second),
            )
            self._limiter.refresh(database)
        self._planner = Planner(
            self._routes(),
            self._ledger,
            self._limits,
            keep_bytes=settings.dead_letter_max_bytes,
            limiter=self._limiter,
        )
        self.figures = Figures()
        self.supervisor = Supervisor("ingest")
        self.workers: list[Worker] = []  # of others, started with its own

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; a batch that was taken is still committed and acknowledged."""
        await self._follow_changes()
        await self._link.subscribe(self._subscriptions())
        self._loop = asyncio.get_running_loop()
        stopping = asyncio.create_task(stop.wait())
        try:
            connecting = asyncio.create_task(self._connect())
            await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                connecting.cancel()
                await asyncio.wait({connecting})
                return
            connecting.result()
            await self.supervisor.start(
                [
                    Worker("dialects", self._watch),
                    Worker("subscriptions", self._keep_subscribed),
                    Worker("limits", self._follow_limits),
                    *self.workers,
                ]
            )
            while not stop.is_set():
                taking = asyncio.create_task(self._link.take(self._batch_max, self._pace.linger()))
                await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    taking.cancel()
                    break
                await self._store(taking.result())
        finally:
            stopping.cancel()
            await self.supervisor.stop()
            await self._link.close()
            if self._sink_thread is not None:
                self._sink_thread.shutdown()
            self._sink.close()

    async def empty(self, idle: float) -> int:
        """Stores what waits in a session that is used no more; how many messages that were.

        Args:
            idle: seconds without a message after which it is empty.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self._link.start(timeout=CONNECT_SECONDS)
            await self._follow_changes()
            await self._link.subscribe(self._subscriptions())
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(idle):
                        batch = await self._link.take(self._batch_max, 0)
                    await self._store(batch)
        finally:
            await self._link.close()
            if self._sink_thread is not None:
                self._sink_thread.shutdown()
            self._sink.close()
        return self.figures.messages

    async def _connect(self) -> None:
        """The first connection. Broker and ingest may have been started together, or have
        ended together: it is given time to come."""
        deadline = time.monotonic() + CONNECT_SECONDS
        pause = RETRY_FIRST
        while True:
            try:
                await self._link.start(timeout=CONNECT_SECONDS)
            except BrokerRefusesUs:
                raise
            except BrokerUnavailable as exc:
                if time.monotonic() > deadline:
                    raise
                if pause == RETRY_FIRST:
                    log.warning("%s Trying for %g s.", exc, CONNECT_SECONDS)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MOST)

    # ------------------------------------------------------------------ one batch

    async def _store(self, batch: Batch) -> None:
        self._pace.took(len(batch.packets), time.monotonic())
        await self._follow_changes(batch.packets)
        plan = self._planner.plan(batch.packets, now_ms(), batch.broken)
        if plan.retained:
            await self._settle(plan)
        committed = await self._commit(plan)
        self._link.acknowledge(batch)
        if committed.effects:
            self._link.publish_many(committed.effects)
        self._count(plan, batch, committed)

    async def _settle(self, plan: Plan) -> None:
        """Messages that the broker kept come again with every new subscription."""
        pairs = [(one.row[0], one.row[1]) for one in plan.retained]
        known = await self._persistently(partial(newest_payloads, self._database, pairs))
        self._planner.settle(plan, known)

    async def _commit(self, plan: Plan) -> Committed:
        number = self._ledger.next_batch
        forget = self._ledger.expendable(len(plan.packets))
        committed = await self._persistently(
            partial(self._sink.commit, plan, self._client_id, number, forget)
        )
        self._ledger.committed(number, plan.packets)
        return committed

    async def _persistently(self, attempt: Callable[[], Answer]) -> Answer:
        """Asks again and again: the message is safe with the broker until it works."""
        pause = RETRY_FIRST
        while True:
            try:
                return await self._ask(attempt)
            except DatabaseUnavailable as exc:
                self.figures.retries += 1
                if pause == RETRY_FIRST:
                    log.warning("%s Trying until it does.", exc)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MOST)

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Calls the sink where it may be called: see ``Sink.waits``."""
        if self._sink_thread is None:
            return question()
        return await asyncio.get_running_loop().run_in_executor(self._sink_thread, question)

    def _count(self, plan: Plan, batch: Batch, committed: Committed) -> None:
        figures = self.figures
        figures.messages += len(batch.packets)
        figures.stored += committed.stored
        figures.duplicates += committed.duplicates + plan.repeated
        figures.dead_letters += len(plan.dead) + len(committed.refused) + plan.dropped
        figures.batches += 1
        figures.largest_batch = max(figures.largest_batch, len(batch.packets))
        figures.rate = self._pace.rate

    # ------------------------------------------------------------------ changes

    async def _watch(self) -> None:
        """A quiet ingest must notice a new dialect too: its topics are not subscribed yet."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            with contextlib.suppress(DatabaseUnavailable):  # the next message will say so
                await self._follow_changes()

    async def _follow_limits(self) -> None:
        """Limits of devices and tenants change without their accounts."""
        if self._limiter is None:  # the broker keeps them
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with contextlib.suppress(DatabaseUnavailable):  # the next message will say so
                await self._ask(partial(self._limiter.refresh, self._database))

    async def _follow_changes(self, packets: Sequence[PublishPacket] = ()) -> None:
        """Follows devices and dialects, so that both are known before a message that came after
        their change is looked at."""
        now = time.monotonic()
        if self._sink.waits and now < self._looked_at + LOOK_SECONDS:
            # A device sends within milliseconds of being added.
            routes = self._planner.routes
            if all(type(routes.get(packet.topic)) is Route for packet in packets):
                return
        self._looked_at = now
        pause = RETRY_FIRST
        while True:
            try:
                async with self._following:
                    versions = await self._ask(self._sink.versions)
                    if versions != self._versions:
                        await self._follow(versions)
                    return
            except DatabaseUnavailable as exc:
                log.warning("%s", exc)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RETRY_MOST)

    async def _follow(self, versions: tuple[int, int]) -> None:
        """Makes devices and topics those of these versions. A changed device costs its own
        topics; all are resolved again only where dialects or overlapping subscriptions changed."""
        new_dialects = versions[1] != self._versions[1]
        if new_dialects:
            before, overlapping = self._catalogue, self._overlapping
            self._catalogue = await self._ask(partial(self._dialects.at, versions[1]))
            await self._ask(self._number_filters)
            if (self._catalogue.dialects, self._overlapping) != (before.dialects, overlapping):
                self._index.use(self._catalogue)
                self._planner.routes = await self._ask(self._routes)
        first = self._index.version < 0
        # Between steps the link is served.
        steps = follow(self._index, self._database)
        while await self._ask(partial(next, steps, _DONE)) is not _DONE:  # noqa: ASYNC110
            await asyncio.sleep(0)
        self._sink.expect(len(self._index))
        if first:
            gc.freeze()  # Python's collector would look at every device again, for 50 ms
        self._versions = versions
        if new_dialects:
            self._dialects_changed.set()

    async def _keep_subscribed(self) -> None:
        """Next to the main flow: the broker's answer comes after messages pending for it."""
        while True:
            await self._dialects_changed.wait()
            self._dialects_changed.clear()
            try:
                await self._subscribe()
            except BaseException:
                self._dialects_changed.set()  # it is still to be done
                raise

    async def _subscribe(self) -> None:
        version = self._versions[1]
        try:
            await self._link.subscribe(self._subscriptions())
        except BrokerUnavailable as exc:  # the link subscribes again when it is connected
            log.warning("%s", exc)
        await self._link.subscribed()
        self.followed = version
        self.on_followed()

    def _routes(self) -> RouteTable:
        return RouteTable(
            self._catalogue,
            self._index,
            channels.numbers(self._database, self._catalogue),
            self._limits,
            self._overlapping,
            interests=self._projections,
        )

    def down_topic(self, kind: Kind, device_id: int) -> str | None:
        """Where a device listens for a kind, by its number."""
        return self._planner.routes.down_topic(kind, device_id)

    def _number_filters(self) -> None:
        self._required = filters.of_dialects(self._catalogue)
        others = filters.of_broker_users(self._database, self._required)
        self._filters = filters.numbered(
            self._database, self._client_id, dict.fromkeys((*self._required, *others))
        )
        self._overlapping = filters.overlapping(self._filters)

    def _subscriptions(self) -> list[Subscription]:
        # QoS 1 for all: what was published at 2 arrives at least once, and is stored once.
        required = set(self._required)
        return [
            Subscription(one, 1, number, one in required) for one, number in self._filters.items()
        ]
