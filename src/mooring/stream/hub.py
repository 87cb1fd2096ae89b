"""Live changes of one serving process: one connection to the broker, for all its clients.

The connection exists while somebody listens, and some time longer. Messages come with QoS 0: what
is lost here is in the database. A topic is believed only as far as it names a known device, whose
tenant decides who may see it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from mqtt5 import PublishPacket

from mooring.devices import following
from mooring.devices.index import DeviceIndex
from mooring.dialects.live import LiveCatalogue
from mooring.dialects.load import Catalogue
from mooring.dialects.payload import BadPayload, PayloadLimits
from mooring.errors import DatabaseUnavailable
from mooring.ingest.routing import Route, RouteTable, Unroutable
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Batch, Endpoint, Subscription
from mooring.presence.states import store as presence_store
from mooring.store.engine import Database, now_ms
from mooring.stream.filters import Filters, filters_within
from mooring.stream.journal import Journal
from mooring.stream.model import PRESENCE, Change, Wanted
from mooring.stream.reader import Reader
from mooring.stream.said import change_of
from mooring.supervisor.state import Policy
from mooring.supervisor.worker import Worker

__all__ = ["Hub"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # between two looks at devices, dialects and presence
BATCH, LINGER_SECONDS = 2_000, 0.02
EACH_MESSAGES, EACH_BYTES = 50, 262_144  # of one device in one batch, the last ones
CONFIRM_SECONDS = 5.0
RETRY_SECONDS = 2.0
PRESENCE_AT_ONCE = 2_000


class Hub:
    """Starts to listen with the first reader.

    Args:
        endpoint: makes the platform's way to the broker, from a client id.
        catalogue: the dialects as they are now.
        limits: what a payload may be.
        count: counts what is left out, by the name of its counter.
    """

    def __init__(
        self,
        database: Database,
        endpoint: Callable[[str], Endpoint],
        catalogue: LiveCatalogue,
        limits: PayloadLimits,
        count: Callable[[str], None],
    ) -> None:
        self.process = secrets.token_hex(8)
        """Names this process in cursors."""
        self.journal = Journal()
        self.live = False
        """Whether changes arrive now."""
        self._count, self._told = count, False
        self.on_live: Callable[[bool], None] = lambda _: None
        self._database = database
        self._endpoint = endpoint
        self._dialects = catalogue
        self._catalogue: Catalogue = catalogue.held
        self._limits = limits
        self._filters = Filters()
        self._taken: dict[Reader, frozenset[str]] = {}
        self._new: set[Reader] = set()  # whose filters are not known yet
        self._devices = DeviceIndex(self._catalogue)
        self._routes = self._table()
        self._presence = -1  # the last change of presence that was read
        self._work = asyncio.Event()
        self._fresh = asyncio.Event()  # set at each confirmation, for those who wait
        self._stale = False  # devices are to be read before the next confirmation

    def workers(self) -> tuple[Worker, ...]:
        """Its lasting work."""
        # People look at it: soon after the broker is back, changes come again.
        return (Worker("stream", self._run, Policy(most=RETRY_SECONDS)),)

    # ------------------------------------------------------------------ readers

    async def add(self, reader: Reader) -> None:
        """From now on the reader is noted of every change. Returns when changes arrive, or some
        seconds later."""
        self.journal.add(reader)
        self._new.add(reader)
        self._begin()
        with suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_SECONDS):
                while not self._hears(reader):
                    self._fresh.clear()
                    await self._fresh.wait()

    def change(self, reader: Reader, wanted: Wanted) -> None:
        """The reader is about something else now."""
        self.drop(reader)
        reader.wanted = wanted
        self.journal.add(reader)
        self._new.add(reader)
        self._begin()

    def drop(self, reader: Reader) -> None:
        """The reader has gone."""
        self.journal.drop(reader)
        self._new.discard(reader)
        filters = self._taken.pop(reader, None)
        if filters is not None:
            self._filters.give(filters, now_ms())

    def resume(self, reader: Reader, number: int) -> bool:
        """Marks what changed since a number; ``False`` where that is not known any more."""
        filters = self._taken.get(reader)
        since = None if filters is None else self._filters.since(filters)
        if since is None or since > number or number > self.journal.number:
            return False
        if not self.journal.knows_since(reader.wanted, number):
            return False
        reader.restart(number)
        reader.catch_up(self.journal.since(reader.wanted, number))
        return True

    def _begin(self) -> None:
        self._stale = True
        self._work.set()

    def _hears(self, reader: Reader) -> bool:
        filters = self._taken.get(reader)
        return filters is not None and self._filters.since(filters) is not None

    # ------------------------------------------------------------------ the connection

    async def _run(self) -> None:
        """Listens while somebody wants to; after a failure, again."""
        if self._filters.used or self._new:
            self._work.set()
        while True:
            await self._work.wait()
            link = MqttLink(
                self._endpoint(f"mooring-{secrets.token_hex(16)}"),
                session_seconds=0,
                on_state=self._changed,
            )
            try:
                await link.start()
                await self._listen(link)
            finally:
                self._changed(connected=False)
                self.journal.clear()
                await link.close()

    async def _listen(self, link: MqttLink) -> None:
        """Until nobody has wanted anything for a while."""
        taking: asyncio.Task[Batch] | None = None
        looked_at = 0.0
        clock = asyncio.get_running_loop().time
        connection = 0
        try:
            while True:
                if link.connected and (self._stale or connection != link.connections):
                    number = link.connections
                    await self._confirm(link, every=connection != number)
                    connection = number
                if taking is None:
                    taking = asyncio.create_task(link.take(BATCH, LINGER_SECONDS))
                waiting = asyncio.create_task(self._work.wait())
                await asyncio.wait(
                    {taking, waiting}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                waiting.cancel()
                if taking.done():
                    self._arrived(taking.result().packets)
                    taking = None
                self._work.clear()
                if clock() - looked_at >= LOOK_SECONDS:
                    looked_at = clock()
                    await self._look()
                    if self._filters.expire(now_ms()):
                        self._stale = True
                    if not len(self._filters) and not self._new:
                        return
        finally:
            if taking is not None:
                taking.cancel()

    async def _confirm(self, link: MqttLink, *, every: bool) -> None:
        """Asks the broker for what is wanted now.

        Args:
            every: on a new connection, which has to bring all of it.
        """
        number = link.connections
        others = await asyncio.to_thread(self._follow)
        self._retake(every=others)
        self._stale = False
        filters, gone = self._filters.changes()
        if every:
            filters = self._filters.all()
        wanted = [Subscription(one, qos=0, retained=False) for one in filters]
        await (link.subscribe(wanted) if every else link.adjust(wanted, gone))
        async with asyncio.timeout(CONFIRM_SECONDS):
            await link.subscribed()
        if number != link.connections or not link.connected:
            return  # it was lost meanwhile: all of it again, on the next one
        self._filters.confirmed(filters, self.journal.number)
        if not self.live:
            self.live = True
            self.on_live(True)
        self._fresh.set()

    def _changed(self, connected: bool) -> None:
        if connected:
            self._work.set()
            return
        self._filters.lost()
        if self.live:
            self.live = False
            self.on_live(False)

    # ------------------------------------------------------------------ messages

    def _arrived(self, packets: Sequence[PublishPacket]) -> None:
        now = now_ms()
        for packet, route in self._chosen(packets):
            try:
                decoded = route.decode(packet.payload, now)
                if isinstance(decoded, BadPayload):
                    continue
                change = change_of(route, decoded, now, self._limits)
            except Exception:  # noqa: BLE001 - see _failed
                self._failed()
                continue
            if change is not None:
                self._take(change)

    def _chosen(self, packets: Sequence[PublishPacket]) -> list[tuple[PublishPacket, Route]]:
        """The messages of known devices, in their order; of a device that sends very many in a
        moment its last ones."""
        messages: Counter[int] = Counter()
        sizes: Counter[int] = Counter()
        chosen = []
        for packet in reversed(packets):
            if packet.retain:
                continue
            try:
                topic = packet.topic
                route = self._routes.get(topic) or self._routes.find(topic)
            except Exception:  # noqa: BLE001 - see _failed
                self._failed()
                continue
            if isinstance(route, Unroutable):
                continue
            device = route.device_id
            if messages[device] >= EACH_MESSAGES or sizes[device] >= EACH_BYTES:
                self._count("stream_passed_over")
                continue
            messages[device] += 1
            sizes[device] += len(packet.payload)
            chosen.append((packet, route))
        chosen.reverse()
        return chosen

    def _failed(self) -> None:
        """A fault of ours in one message must not end the others' streams."""
        self._count("stream_faults")
        if not self._told:
            self._told = True
            log.exception("a message is missing in the live stream")

    def _take(self, change: Change) -> None:
        for reader in self.journal.take(change):
            reader.wake()

    # ------------------------------------------------------------------ what changes slowly

    async def _look(self) -> None:
        try:
            new_dialects, changes = await asyncio.to_thread(self._read)
        except DatabaseUnavailable as exc:
            log.warning("the live stream follows devices later: %s", exc)
            return
        if new_dialects:
            self._retake(every=True)
        for change in changes:
            self._take(change)

    def _read(self) -> tuple[bool, list[Change]]:
        """In a thread, while no message is looked at; whether there are other dialects, and what
        has changed of presence."""
        new_dialects = self._follow()
        with self._database.read() as connection:
            rows, self._presence = presence_store.changes_after(
                connection, self._presence, PRESENCE_AT_ONCE
            )
        found = []
        for number, one in rows:
            device = self._devices.by_id(number)
            if device is not None:
                values = {"state": str(one.state), "reason": one.reason}
                found.append(Change(device, PRESENCE, "", "", one.at, values))
        return new_dialects, found

    def _follow(self) -> bool:
        """Reads devices and dialects as they are now; whether there are other dialects."""
        catalogue = self._dialects.get()
        others = catalogue is not self._catalogue
        if others:
            self._catalogue = catalogue
            self._devices.use(catalogue)
            self._routes = self._table()
        for _ in following.follow(self._devices, self._database):
            pass
        return others

    def _table(self) -> RouteTable:
        numbers = {
            (dialect.name, channel.name): 0
            for dialect in self._catalogue.all()
            for channel in dialect.channels
        }
        return RouteTable(self._catalogue, self._devices, numbers, self._limits)

    def _retake(self, *, every: bool) -> None:
        """Filters of the new readers, or of every reader: those that they had may be others."""
        for reader in (*self._new, *(list(self._taken) if every else ())):
            devices = (self._devices.by_id(n) for n in reader.wanted.devices or ())
            filters = filters_within(
                self._filters.room,
                reader.wanted,
                self._catalogue.all(),
                [one for one in devices if one is not None],
            )
            self._filters.take(filters)
            before = self._taken.get(reader)
            if before is not None:
                self._filters.give(before, now_ms())
            self._taken[reader] = filters
        self._new.clear()
        self._stale = self._stale or every
