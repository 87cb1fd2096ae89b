"""A link over MQTT 5 on the ``mqtt5`` codec, in an ``asyncio.Protocol``.

Whole socket reads are decoded at once and handed over in batches; an acknowledgement is four
bytes a message, written in one piece. The class holds no more than ``window`` messages that
are not acknowledged (the broker keeps to it, [MQTT-3.3.4-9]); QoS 0 messages have no such
window, so reading stops while too many are waiting and TCP slows the broker down; so it does
while what waits has too many bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Sequence

import mqtt5
from mqtt5 import PublishPacket, QoS

from mooring.errors import BrokerRefusesUs, BrokerUnavailable
from mooring.link.arrivals import WAITING_BYTES, Arrivals
from mooring.link.connection import PUBACK, PUBREC, Connection, NeverSent, ReasonCode
from mooring.link.protocol import Batch, Broken, Endpoint, Subscription

__all__ = ["MqttLink"]

log = logging.getLogger(__name__)

RECONNECT_FIRST, RECONNECT_MOST = 0.1, 5.0
CONNECT_SECONDS = 10.0  # for the socket, and again for the greeting


class MqttLink:
    """See ``mooring.link.protocol.Link``.

    Args:
        endpoint: where to connect and as whom.
        session_seconds: how long the broker keeps our session and its queue while we are
            away; 0 starts clean every time.
        window: unacknowledged messages the broker may have with us (receive maximum).
        on_state: called with ``True`` when connected and ``False`` when not.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        session_seconds: int = 0,
        window: int = 8000,
        on_state: Callable[[bool], None] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.session_seconds = session_seconds
        self.window = window
        self.on_state = on_state
        self.connected = False
        self.connections = 0  # how many there have been; the number of the current one
        self.repeats = False  # the broker resumed our session, so repetitions may come
        self._subscribing: asyncio.Task[None] | None = None
        self._pending = Arrivals()
        self._broken: list[Broken] = []
        self._arrival = asyncio.Event()
        self._subscriptions: dict[str, Subscription] = {}
        self._confirmed = asyncio.Event()
        self._protocol: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closing = False
        self._first: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------ Link

    async def start(self, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - part of the contract
        self._closing = False
        self._first = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name=f"link {self.endpoint.client_id}")
        self._keeper.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(timeout):
                await self._first
            if self._subscribing is not None:
                await asyncio.wait({self._subscribing}, timeout=1)
                if self._subscribing.done():
                    self._subscribing.result()
        except asyncio.CancelledError:
            await self.close()
            raise
        except (TimeoutError, BrokerUnavailable) as exc:
            await self.close()
            if isinstance(exc, BrokerUnavailable):
                raise
            raise BrokerUnavailable(
                f"The broker at {self.endpoint.host}:{self.endpoint.port} did not answer within "
                f"{timeout:g} s.",
                hint="Check that it runs: `mooring status`.",
            ) from exc

    async def take(self, limit: int, linger: float) -> Batch:
        if self._protocol is not None:
            await self._protocol.writable.wait()
        if not len(self._pending) and not self._broken:
            self._arrival.clear()
            await self._arrival.wait()
        if linger > 0 and len(self._pending) < limit:
            await asyncio.sleep(linger)
        packets = self._pending.take(limit)
        broken, self._broken = self._broken, []
        if self._protocol is not None and not self._crowded(self.window, WAITING_BYTES // 2):
            self._protocol.resume()
        return Batch(packets, self.connections, broken)

    def acknowledge(self, batch: Batch) -> None:
        if self._protocol is None or batch.connection != self.connections:
            return
        answers = [
            PUBACK[p.packet_id] if p.qos == 1 else PUBREC[p.packet_id]
            for p in batch.packets
            if p.packet_id is not None
        ]
        answers += [
            PUBACK[b.packet_id] if b.qos == 1 else PUBREC[b.packet_id]
            for b in batch.broken
            if b.qos
        ]
        if answers:
            self._protocol.send(b"".join(answers))

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        connection = self._need_connection()
        if qos == 0:
            connection.send(PublishPacket(topic, payload, retain=retain).write())
            return
        await connection.publish(topic, payload, QoS(qos), retain)

    async def deliver(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expires: int | None = None,
        properties: Sequence[tuple[str, str]] = (),
        within: float = 30.0,
    ) -> ReasonCode:
        """As ``publish``, with QoS 1 or 2; returns the broker's answer, also a rejection.

        Args:
            expires: seconds after which the broker drops what it could not hand over.
            properties: user properties.
            within: seconds to wait for the answer.

        Raises:
            NeverSent: there was no connection, or it ended before this message was sent.
            BrokerUnavailable: there was no answer; it may have arrived.
        """
        connection = self._protocol
        if connection is None:
            raise NeverSent("There is no connection to the broker.")
        return await connection.deliver(
            topic,
            payload,
            QoS(qos),
            retain,
            expires=expires,
            properties=properties,
            within=within,
        )

    def publish_many(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Sends QoS 0 messages in one write; silently nothing while not connected, because
        what goes this way (receipts, live views) is sent again by its own rules."""
        if self._protocol is not None:
            self._protocol.send(b"".join([PublishPacket(t, p).write() for t, p in messages]))

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        wanted = {s.filter: s for s in subscriptions}
        gone = [f for f in self._subscriptions if f not in wanted]
        await self.adjust([s for f, s in wanted.items() if self._subscriptions.get(f) != s], gone)

    async def adjust(self, new: Sequence[Subscription], gone: Sequence[str]) -> None:
        """As ``subscribe``, for one who knows what has changed: costs that, however many
        subscriptions there are."""
        for one in gone:
            self._subscriptions.pop(one, None)
        self._subscriptions.update({s.filter: s for s in new})
        protocol = self._protocol
        if protocol is None or not (gone or new):
            return
        self._confirmed.clear()
        if gone:
            await protocol.unsubscribe(gone)
        if new:
            await protocol.subscribe(new)
        if protocol is self._protocol:
            self._confirmed.set()

    async def subscribed(self) -> None:
        await self._confirmed.wait()

    async def close(self) -> None:
        self._closing = True
        if self._protocol is not None:
            self._protocol.send(mqtt5.DisconnectPacket().write())
            self._protocol.close()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    # ------------------------------------------------------------------ inside

    def _need_connection(self) -> Connection:
        if self._protocol is None:
            raise NeverSent(
                f"There is no connection to the broker at {self.endpoint.host}:"
                f"{self.endpoint.port}.",
                hint="Check that it runs: `mooring status`.",
            )
        return self._protocol

    async def _keep(self) -> None:
        """Connects again and again, with full jitter between a tenth and five seconds."""
        pause = RECONNECT_FIRST
        while not self._closing:
            try:
                lost = await self._connect()
            except (OSError, BrokerUnavailable, TimeoutError, ssl.SSLError) as exc:
                if self._first is not None and not self._first.done():
                    self._first.set_exception(self._explain(exc))
                    return
                log.warning("no connection to the broker: %s; trying again", exc)
            else:
                pause = RECONNECT_FIRST
                if self._first is not None and not self._first.done():
                    self._first.set_result(None)
                reason = await lost
                self._set_connected(None)
                if not self._closing:
                    log.warning("the connection to the broker ended: %s; reconnecting", reason)
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter
            pause = min(pause * 2, RECONNECT_MOST)

    def _subscribed(self, task: asyncio.Task[None]) -> None:
        """A rejected subscription means that nothing will come: say so and connect again."""
        if task.cancelled():
            return
        if task.exception() is None:
            if task is self._subscribing:
                self._confirmed.set()
            return
        log.error("%s", task.exception())
        if self._protocol is not None:
            self._protocol.close()

    def _ended(self, keeper: asyncio.Task[None]) -> None:
        """The task ends only when the link is closed; anything else must not stay unseen."""
        if keeper.cancelled() or keeper.exception() is None:
            return
        fault = keeper.exception()
        log.critical("the link stopped", exc_info=fault)
        if self._first is not None and not self._first.done() and fault is not None:
            self._first.set_exception(fault)

    def _explain(self, exc: Exception) -> BrokerUnavailable:
        if isinstance(exc, BrokerUnavailable):
            return exc
        return BrokerUnavailable(
            f"The broker at {self.endpoint.host}:{self.endpoint.port} cannot be reached: "
            f"{exc or type(exc).__name__}.",
            hint="Check that it runs (`mooring status`), and host and port.",
        )

    async def _connect(self) -> asyncio.Future[str]:
        loop = asyncio.get_running_loop()
        tls = None
        if self.endpoint.tls:  # reading the system's certificates takes 20 ms and some megabytes
            tls = ssl.create_default_context(cafile=self.endpoint.cafile)
        # Not asyncio.wait_for: in Python 3.11 it loses a cancellation that comes together with
        # the answer, and then this task never ends.
        async with asyncio.timeout(CONNECT_SECONDS):
            if self.endpoint.host.startswith("/"):
                _, protocol = await loop.create_unix_connection(
                    lambda: Connection(self), self.endpoint.host
                )
            else:
                _, protocol = await loop.create_connection(
                    lambda: Connection(self),
                    self.endpoint.host,
                    self.endpoint.port,
                    ssl=tls,
                )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                answer = await protocol.greeting
        except BaseException:
            protocol.close()
            raise
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            protocol.close()
            raise BrokerRefusesUs(
                f"The broker rejects {self.endpoint.username}: "
                f"{answer.reason_code.name.lower().replace('_', ' ')}.",
                hint="Run `mooring broker sync` to restore the platform's account.",
            )
        self.connections += 1
        self.repeats = answer.session_present
        # What was not acknowledged on the old connection comes again on this one; what has
        # arrived and was not handed over yet is therefore dropped, except QoS 0.
        self._pending.keep_unnumbered()
        self._broken = [b for b in self._broken if not b.qos]
        self._confirmed.clear()
        self._set_connected(protocol)
        protocol.opened(answer.receive_max)
        if self._subscriptions:
            # Not awaited: in a resumed session the SUBACK comes after every message that
            # waited, and Mosquitto 2.0 sends those without regard to our window.
            self._subscribing = asyncio.create_task(
                protocol.subscribe(list(self._subscriptions.values()))
            )
            self._subscribing.add_done_callback(self._subscribed)
        else:
            self._confirmed.set()
        return protocol.lost

    def _set_connected(self, protocol: Connection | None) -> None:
        self._protocol = protocol
        self.connected = protocol is not None
        if self.on_state is not None:
            self.on_state(self.connected)

    def arrived(self, packets: list[PublishPacket], size: int) -> None:
        """Called by the connection with what one socket read held, and its bytes."""
        self._pending.add(packets, size)
        self._arrival.set()
        if self._protocol is not None and self._crowded(2 * self.window, WAITING_BYTES):
            self._protocol.pause()

    def _crowded(self, messages: int, size: int) -> bool:
        return len(self._pending) > messages or self._pending.bytes > size

    def refused_by_codec(self, broken: Broken) -> None:
        self._broken.append(broken)
        self._arrival.set()
