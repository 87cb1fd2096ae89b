"""A link over MQTT 5 on the ``mqtt5`` codec, in an ``asyncio.Protocol``.

Whole socket reads are decoded at once and handed over in batches; an acknowledgement is four
bytes a message, written in one piece. The class holds no more than ``window`` messages that
are not acknowledged (the broker keeps to it, [MQTT-3.3.4-9]); QoS 0 messages have no such
window, so reading stops while too many are waiting and TCP slows the broker down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from typing import cast

import mqtt5
from mqtt5 import PublishPacket, QoS

from mooring.errors import BrokerUnavailable
from mooring.link.protocol import Batch, Broken, Endpoint, Subscription

__all__ = ["MqttLink"]

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 30
RECONNECT_FIRST, RECONNECT_MOST = 0.1, 5.0
# A PUBACK or PUBREC for packet n with reason "success" and no properties [MQTT-3.4.2-1].
_PUBACK = [b"\x40\x02" + n.to_bytes(2, "big") for n in range(65536)]
_PUBREC = [b"\x50\x02" + n.to_bytes(2, "big") for n in range(65536)]
_PINGREQ = b"\xc0\x00"
_MAX_PACKET_ID = 65535
# Reason codes from here on say that it failed [MQTT 2.4]. The codec's codes compare as numbers
# only through int().
FAILURE = 0x80


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
        self._pending: list[PublishPacket] = []
        self._broken: list[Broken] = []
        self._arrival = asyncio.Event()
        self._subscriptions: dict[str, Subscription] = {}
        self._protocol: _Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closing = False
        self._first: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------ Link

    async def start(self, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - part of the contract
        self._first = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(), name=f"link {self.endpoint.client_id}")
        self._keeper.add_done_callback(self._ended)
        try:
            await asyncio.wait_for(asyncio.shield(self._first), timeout)
            if self._subscribing is not None:
                await asyncio.wait({self._subscribing}, timeout=1)
                if self._subscribing.done():
                    self._subscribing.result()
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
        if not self._pending and not self._broken:
            self._arrival.clear()
            await self._arrival.wait()
        if linger > 0 and len(self._pending) < limit:
            await asyncio.sleep(linger)
        if len(self._pending) <= limit:
            packets, self._pending = self._pending, []
        else:
            packets, self._pending = self._pending[:limit], self._pending[limit:]
        broken, self._broken = self._broken, []
        if self._protocol is not None and len(self._pending) < self.window:
            self._protocol.resume()
        return Batch(packets, self.connections, broken)

    def acknowledge(self, batch: Batch) -> None:
        if self._protocol is None or batch.connection != self.connections:
            return
        answers = [
            _PUBACK[p.packet_id] if p.qos == 1 else _PUBREC[p.packet_id]
            for p in batch.packets
            if p.packet_id is not None
        ]
        answers += [
            _PUBACK[b.packet_id] if b.qos == 1 else _PUBREC[b.packet_id]
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

    def publish_many(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Sends QoS 0 messages in one write; silently nothing while not connected, because
        what goes this way (receipts, live views) is sent again by its own rules."""
        if self._protocol is not None:
            self._protocol.send(b"".join([PublishPacket(t, p).write() for t, p in messages]))

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        wanted = {s.filter: s for s in subscriptions}
        gone = [f for f in self._subscriptions if f not in wanted]
        new = [s for f, s in wanted.items() if self._subscriptions.get(f) != s]
        self._subscriptions = wanted
        if self._protocol is not None:
            if gone:
                await self._protocol.unsubscribe(gone)
            if new:
                await self._protocol.subscribe(new)

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

    def _need_connection(self) -> _Connection:
        if self._protocol is None:
            raise BrokerUnavailable(
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
        """A refused subscription means that nothing will come: say so and connect anew."""
        if task.cancelled() or task.exception() is None:
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
        context = ssl.create_default_context(cafile=self.endpoint.cafile)
        _, protocol = await asyncio.wait_for(
            loop.create_connection(
                lambda: _Connection(self),
                self.endpoint.host,
                self.endpoint.port,
                ssl=context if self.endpoint.tls else None,
            ),
            10,
        )
        answer = await asyncio.wait_for(protocol.greeting, 10)
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            protocol.close()
            raise BrokerUnavailable(
                f"The broker refuses {self.endpoint.username}: "
                f"{answer.reason_code.name.lower().replace('_', ' ')}.",
                hint="`mooring broker sync` puts the platform's own account right.",
                code="broker_refuses_us",
            )
        self.connections += 1
        self.repeats = answer.session_present
        # What was not acknowledged on the old connection comes again on this one; what has
        # arrived and was not handed over yet is therefore dropped, except QoS 0.
        self._pending = [p for p in self._pending if p.packet_id is None]
        self._broken = [b for b in self._broken if not b.qos]
        self._set_connected(protocol)
        protocol.opened()
        if self._subscriptions:
            # Not awaited: in a resumed session the SUBACK comes behind every message that
            # waited, and Mosquitto 2.0 sends those without regard to our window.
            self._subscribing = asyncio.create_task(
                protocol.subscribe(list(self._subscriptions.values()))
            )
            self._subscribing.add_done_callback(self._subscribed)
        return protocol.lost

    def _set_connected(self, protocol: _Connection | None) -> None:
        self._protocol = protocol
        self.connected = protocol is not None
        if self.on_state is not None:
            self.on_state(self.connected)

    def arrived(self, packets: list[PublishPacket]) -> None:
        """Called by the connection with what one socket read held."""
        self._pending += packets
        self._arrival.set()
        if self._protocol is not None and len(self._pending) > 2 * self.window:
            self._protocol.pause()

    def refused_by_codec(self, broken: Broken) -> None:
        self._broken.append(broken)
        self._arrival.set()


class _Connection(asyncio.Protocol):
    """One socket. Bytes in, packets out; no rule about messages is here."""

    def __init__(self, link: MqttLink) -> None:
        loop = asyncio.get_running_loop()
        self.link = link
        self.greeting: asyncio.Future[mqtt5.ConnAckPacket] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._packet_id = 0
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._quota = asyncio.Semaphore(100)
        self._paused = False
        self._open = False
        self._early: list[PublishPacket] = []
        # Cleared while acknowledgements pile up unsent: what is committed but not
        # acknowledged must stay within what the ledger remembers.
        self.writable = asyncio.Event()
        self.writable.set()
        self._ping: asyncio.TimerHandle | None = None
        self._heard = 0.0

    # -- socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is one in all but inheritance
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=4 * self.link.window)
        endpoint = self.link.endpoint
        self.send(
            mqtt5.ConnectPacket(
                endpoint.client_id,
                username=endpoint.username,
                password=endpoint.password.encode(),
                clean_start=self.link.session_seconds == 0,
                keep_alive=KEEP_ALIVE_SECONDS,
                session_expiry_interval=self.link.session_seconds,
                receive_max=min(self.link.window, _MAX_PACKET_ID),
            ).write()
        )

    def opened(self) -> None:
        """The link has taken this connection over: what came meanwhile goes to it."""
        self._open = True
        self._heard = asyncio.get_running_loop().time()
        self._schedule_ping()
        if self._early:
            early, self._early = self._early, []
            self.link.arrived(early)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        view = memoryview(data)
        size = len(data)
        read = mqtt5.read
        at = 0
        published: list[PublishPacket] = []
        while at < size:
            try:
                packet, used = read(view[at:])
            except IndexError:
                break
            except ValueError as exc:
                used = self._skip(data, at, exc)
                if used < 0:
                    return
                at += used
                continue
            at += used
            if type(packet) is PublishPacket:
                published.append(packet)
            else:
                self._control(packet)
        self._rest = data[at:]
        if published:
            if self._open:
                self.link.arrived(published)
            else:
                self._early += published

    def connection_lost(self, exc: Exception | None) -> None:
        reason = str(exc) if exc else "closed by the broker"
        self.writable.set()
        if self._ping is not None:
            self._ping.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BrokerUnavailable("The connection to the broker broke."))
        self._waiting.clear()
        if not self.greeting.done():
            self.greeting.set_exception(BrokerUnavailable(f"The broker hung up: {reason}."))
        if not self.lost.done():
            self.lost.set_result(reason)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    # -- requests

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        filters = [
            mqtt5.TopicFilter(
                s.filter,
                max_qos=QoS(s.qos),
                # A retained message that we have had is not sent again at every reconnect.
                retain_handling=mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
                retain_as_published=False,
            )
            for s in subscriptions
        ]
        answer = await self._request(
            lambda n: mqtt5.SubscribePacket(n, filters).write(), within=None
        )
        assert isinstance(answer, mqtt5.SubAckPacket)
        for wanted, code in zip(subscriptions, answer.reason_codes, strict=True):
            if int(code) >= FAILURE:
                raise BrokerUnavailable(
                    f"The broker refuses our subscription to {wanted.filter}: "
                    f"{code.name.lower().replace('_', ' ')}.",
                    hint="`mooring broker sync` puts the platform's own rights right.",
                )

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        await self._request(lambda n: mqtt5.UnsubscribePacket(n, list(filters)).write())

    async def publish(self, topic: str, payload: bytes, qos: QoS, retain: bool) -> None:
        def packet(number: int) -> bytes:
            return PublishPacket(topic, payload, qos=qos, retain=retain, packet_id=number).write()

        async with self._quota:
            answer = await self._request(packet)
        assert isinstance(answer, mqtt5.PubAckPacket | mqtt5.PubRecPacket | mqtt5.PubCompPacket)
        code = answer.reason_code
        if int(code) >= FAILURE:
            raise BrokerUnavailable(
                f"The broker refuses a message to {topic}: {code.name.lower().replace('_', ' ')}.",
                hint="`mooring broker sync` puts the platform's own rights right.",
            )

    async def _request(
        self, packet: Callable[[int], bytes], *, within: float | None = 30
    ) -> object:
        number = self._next_id()
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self.send(packet(number))
        try:
            return await asyncio.wait_for(future, within)
        except TimeoutError as exc:
            raise BrokerUnavailable(f"The broker did not answer within {within} s.") from exc
        finally:
            self._waiting.pop(number, None)

    def _next_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % _MAX_PACKET_ID + 1
            if self._packet_id not in self._waiting:
                return self._packet_id

    # -- what is not a message

    def _control(self, packet: object) -> None:
        self._heard = asyncio.get_running_loop().time()
        match packet:
            case mqtt5.PubRelPacket():
                # Nothing is kept for it: the message was committed before its PUBREC went out.
                self.send(b"\x70\x02" + packet.packet_id.to_bytes(2, "big"))
            case mqtt5.PubRecPacket():
                if int(packet.reason_code) >= FAILURE:
                    self._answer(packet.packet_id, packet)
                else:
                    self.send(b"\x62\x02" + packet.packet_id.to_bytes(2, "big"))
            case (
                mqtt5.PubAckPacket()
                | mqtt5.PubCompPacket()
                | mqtt5.SubAckPacket()
                | mqtt5.UnsubAckPacket()
            ):
                self._answer(packet.packet_id, packet)
            case mqtt5.ConnAckPacket():
                if not self.greeting.done():
                    self.greeting.set_result(packet)
            case mqtt5.DisconnectPacket():
                if not self.lost.done():
                    self.lost.set_result(packet.reason_code.name.lower().replace("_", " "))
                self.close()
            case _:  # PINGRESP: that something was heard is all it says
                pass

    def _answer(self, number: int, packet: object) -> None:
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(packet)

    def _schedule_ping(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard > 2 * KEEP_ALIVE_SECONDS:
            if self._transport is not None:
                self._transport.abort()
            return
        self.send(_PINGREQ)
        self._ping = loop.call_later(KEEP_ALIVE_SECONDS / 2, self._schedule_ping)

    def _skip(self, data: bytes, at: int, exc: ValueError) -> int:
        """Steps over a packet the codec refuses, so that one message cannot stop the stream.

        Returns its length, or -1 when the stream itself is not MQTT and was closed.
        """
        length, shift, offset = 0, 0, at + 1
        while offset < len(data) and shift <= 21:
            byte = data[offset]
            length |= (byte & 0x7F) << shift
            shift += 7
            offset += 1
            if not byte & 0x80:
                break
        else:
            log.error("the broker sent something that is not MQTT: %s", exc)
            self.close()
            return -1
        end = offset + length
        raw = data[at:end]
        if raw[0] >> 4 != 3:
            log.error("the broker sent a packet of type %d we cannot read: %s", raw[0] >> 4, exc)
            return end - at
        qos, number = raw[0] >> 1 & 3, 0
        if qos:
            after_topic = offset + 2 + int.from_bytes(data[offset : offset + 2], "big")
            number = int.from_bytes(data[after_topic : after_topic + 2], "big")
        self.link.refused_by_codec(Broken(raw, str(exc), qos, number))
        return end - at
