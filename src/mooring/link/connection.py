"""One socket to a broker: bytes in, MQTT 5 packets out.

No rule about messages is here: what arrives goes to an ``Owner``, which decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import mqtt5
from mqtt5 import PublishPacket, QoS

from mooring.errors import BrokerUnavailable
from mooring.link.framing import PUBLISH, NotMqtt, broken_publish, frame, missing
from mooring.link.protocol import Broken, Endpoint, Subscription
from mooring.link.session import MAX_PACKET_ID, Answers, KeepAlive, PacketIds

__all__ = ["FAILURE", "PUBACK", "PUBREC", "Connection", "NeverSent", "Owner", "ReasonCode"]

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 30
ANSWER_SECONDS = 30.0
QUOTA_MOST = 100  # our own messages under way at once; a broker may allow fewer
_PINGREQ = b"\xc0\x00"
PINGS_UNANSWERED_MOST = 4
# Reason codes from here on say that it failed [MQTT 2.4]. The codec's codes compare as numbers
# only through int().
FAILURE = 0x80


def _unreadable(fault: BaseException) -> bool:
    """Whether the codec cannot read a packet. On a text that is not UTF-8, such as a topic, it "
    "panics: that is not an ``Exception``, and its class cannot be imported."""
    return isinstance(fault, ValueError) or type(fault).__name__ == "PanicException"


class _Answers(dict[int, bytes]):
    """Packets of four bytes by their number, each made when it is first needed: all 65,536 of
    two kinds take 7 MB, and most processes acknowledge nothing."""

    def __init__(self, head: bytes) -> None:
        super().__init__()
        self._head = head

    def __missing__(self, number: int) -> bytes:
        made = self[number] = self._head + number.to_bytes(2, "big")
        return made


# A PUBACK or PUBREC for packet n with reason "success" and no properties [MQTT-3.4.2-1].
PUBACK, PUBREC = _Answers(b"\x40\x02"), _Answers(b"\x50\x02")

# A retained message that we have had is not sent again at every reconnect.
_FIRST = mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS
_NEVER = mqtt5.RetainHandling.SEND_NEVER

ReasonCode = mqtt5.PubAckReasonCode | mqtt5.PubRecReasonCode | mqtt5.PubCompReasonCode
"""What the broker says to a message."""


class NeverSent(BrokerUnavailable):
    """Nothing of the message has left this process."""


class Owner(Protocol):
    """Whom a connection tells what arrives."""

    endpoint: Endpoint
    session_seconds: int
    window: int

    def arrived(self, packets: list[PublishPacket], size: int) -> None:
        """What one socket read held, and how many bytes that was."""
        ...

    def refused_by_codec(self, broken: Broken) -> None:
        """A PUBLISH that the codec cannot read."""
        ...


class Connection(asyncio.Protocol):
    """One socket of one owner."""

    def __init__(self, link: Owner) -> None:
        loop = asyncio.get_running_loop()
        self.link = link
        self.greeting: asyncio.Future[mqtt5.ConnAckPacket] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._rest: list[bytes] = []  # of a packet that has not arrived completely
        self._missing = 0  # bytes of it
        self._ids = PacketIds()
        self._answers: Answers[object] = Answers()
        self._quota = asyncio.Semaphore(QUOTA_MOST)
        self._unheard: set[int] = set()  # QoS 2 messages that have no subscriber
        self._paused = False
        self._open = False
        self._early: list[PublishPacket] = []
        self._early_broken: list[Broken] = []
        # Cleared while acknowledgements pile up unsent: what is committed but not
        # acknowledged must stay within what the ledger remembers.
        self.writable = asyncio.Event()
        self.writable.set()
        self._alive = KeepAlive(
            KEEP_ALIVE_SECONDS / 2,
            lambda: self.send(_PINGREQ),
            self._abort,
            unanswered_most=PINGS_UNANSWERED_MOST,
        )

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
                receive_max=min(self.link.window, MAX_PACKET_ID),
            ).write()
        )

    def opened(self, receive_max: int) -> None:
        """The link has taken this connection over: what came meanwhile goes to it.

        Args:
            receive_max: how many of our messages the broker takes at once [MQTT-3.3.4-7].
        """
        self._open = True
        self._quota = asyncio.Semaphore(max(1, min(QUOTA_MOST, receive_max)))
        self._alive.start()
        for broken in self._early_broken:
            self.link.refused_by_codec(broken)
        if self._early:
            early, self._early = self._early, []
            self.link.arrived(early, sum(len(packet.payload) for packet in early))

    def data_received(self, data: bytes) -> None:
        if self._rest and not (data := self._joined(data)):
            return
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
            except BaseException as exc:
                if not _unreadable(exc):
                    raise
                used = self._skip(data, at, exc)
                if used < 0:
                    return
                if used == 0:
                    break
                at += used
                continue
            at += used
            if type(packet) is PublishPacket:
                published.append(packet)
            else:
                self._control(packet)
        self._rest = [data[at:]] if at < size else []
        self._missing = missing(data, at) if self._rest else 0
        if published:
            if self._open:
                self.link.arrived(published, at)
            else:
                self._early += published

    def _joined(self, data: bytes) -> bytes:
        """With what has arrived of the packet before; empty while some of it is missing. A large
        packet arrives in many reads, and is joined and read once."""
        self._rest.append(data)
        self._missing -= len(data)
        return b"" if self._missing > 0 else b"".join(self._rest)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = str(exc) if exc else "closed by the broker"
        self.writable.set()
        self._alive.stop()
        self._answers.fail("The connection to the broker was lost.")
        if not self.greeting.done():
            self.greeting.set_exception(
                BrokerUnavailable(f"The broker closed the connection: {reason}.")
            )
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
        """In the given order: a packet has one number for all its filters [MQTT-3.8.2.1.2]."""
        packets: list[list[Subscription]] = []
        for one in subscriptions:
            if packets and packets[-1][0].number == one.number:
                packets[-1].append(one)
            else:
                packets.append([one])
        # Sent one after the other; a resumed session's SUBACKs come after its messages.
        answers = [asyncio.create_task(self._subscribe(some)) for some in packets]
        try:
            await asyncio.gather(*answers)
        finally:
            for answer in answers:
                answer.cancel()

    async def _subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        filters = [
            mqtt5.TopicFilter(
                s.filter,
                max_qos=QoS(s.qos),
                retain_handling=_FIRST if s.retained else _NEVER,
                retain_as_published=False,
            )
            for s in subscriptions
        ]
        number = subscriptions[0].number or None
        answer = await self._request(
            lambda n: mqtt5.SubscribePacket(n, filters, subscription_id=number).write(),
            within=None,
        )
        assert isinstance(answer, mqtt5.SubAckPacket)
        for wanted, code in zip(subscriptions, answer.reason_codes, strict=True):
            if int(code) >= FAILURE and not wanted.required:
                log.warning("the broker rejects our subscription to %s", wanted.filter)
            elif int(code) >= FAILURE:
                raise BrokerUnavailable(
                    f"The broker rejects our subscription to {wanted.filter}: "
                    f"{code.name.lower().replace('_', ' ')}.",
                    hint="Run `mooring broker sync` to restore the platform's rights.",
                )

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        await self._request(lambda n: mqtt5.UnsubscribePacket(n, list(filters)).write())

    async def publish(self, topic: str, payload: bytes, qos: QoS, retain: bool) -> None:
        code = await self.deliver(topic, payload, qos, retain)
        if int(code) >= FAILURE:
            raise BrokerUnavailable(
                f"The broker rejects a message to {topic}: {code.name.lower().replace('_', ' ')}.",
                hint="Run `mooring broker sync` to restore the platform's rights.",
            )

    async def deliver(
        self,
        topic: str,
        payload: bytes,
        qos: QoS,
        retain: bool,
        *,
        expires: int | None = None,
        properties: Sequence[tuple[str, str]] = (),
        within: float = ANSWER_SECONDS,
    ) -> ReasonCode:
        """Sends a QoS 1 or 2 message; returns the broker's answer, also a rejection.

        Args:
            expires: seconds after which the broker drops what it could not hand over.
            properties: user properties.

        Raises:
            NeverSent: the connection was gone before it was this message's turn.
            BrokerUnavailable: there was no answer; it may have arrived.
        """

        def packet(number: int) -> bytes:
            return PublishPacket(
                topic,
                payload,
                qos=qos,
                retain=retain,
                packet_id=number,
                message_expiry_interval=expires,
                user_properties=list(properties),
            ).write()

        async with self._quota:
            if self.lost.done() or self._transport is None or self._transport.is_closing():
                raise NeverSent("The connection to the broker broke before it was sent.")
            answer = await self._request(packet, within=within)
        assert isinstance(answer, mqtt5.PubAckPacket | mqtt5.PubRecPacket | mqtt5.PubCompPacket)
        if isinstance(answer, mqtt5.PubCompPacket) and answer.packet_id in self._unheard:
            self._unheard.discard(answer.packet_id)
            return mqtt5.PubRecReasonCode.NO_MATCHING_SUBSCRIBERS
        return answer.reason_code

    async def _request(
        self, packet: Callable[[int], bytes], *, within: float | None = ANSWER_SECONDS
    ) -> object:
        number = self._ids.next(self._answers)
        return await self._answers.ask(number, lambda: self.send(packet(number)), within)

    # -- what is not a message

    def _control(self, packet: object) -> None:
        self._alive.heard()
        match packet:
            case mqtt5.PubRelPacket():
                # Nothing is kept for it: the message was committed before its PUBREC went out.
                self.send(b"\x70\x02" + packet.packet_id.to_bytes(2, "big"))
            case mqtt5.PubRecPacket():
                if int(packet.reason_code) >= FAILURE:
                    self._answers.give(packet.packet_id, packet)
                else:
                    if packet.reason_code == mqtt5.PubRecReasonCode.NO_MATCHING_SUBSCRIBERS:
                        self._unheard.add(packet.packet_id)
                    self.send(b"\x62\x02" + packet.packet_id.to_bytes(2, "big"))
            case (
                mqtt5.PubAckPacket()
                | mqtt5.PubCompPacket()
                | mqtt5.SubAckPacket()
                | mqtt5.UnsubAckPacket()
            ):
                self._answers.give(packet.packet_id, packet)
            case mqtt5.ConnAckPacket():
                if not self.greeting.done():
                    self.greeting.set_result(packet)
            case mqtt5.DisconnectPacket():
                if not self.lost.done():
                    self.lost.set_result(packet.reason_code.name.lower().replace("_", " "))
                self.close()
            case _:  # PINGRESP: that something was heard is all it says
                pass

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _skip(self, data: bytes, at: int, exc: BaseException) -> int:
        """Steps over a packet the codec rejects, so that one message cannot stop the stream.

        Returns its length, 0 when not all of it is there, or -1 when the stream itself is not
        MQTT and was closed.
        """
        try:
            found = frame(data, at)
        except NotMqtt as fault:
            log.warning("the broker sent something that is not MQTT: %s", fault)
            self.close()
            return -1
        if found is None or found[1] > len(data):
            return 0
        start, end = found
        kind = data[at] >> 4
        if kind != PUBLISH:
            log.error("the broker sent a packet of type %d that cannot be parsed: %s", kind, exc)
            return end - at
        why = str(exc) if isinstance(exc, ValueError) else "a text in it is not UTF-8"
        broken = broken_publish(data, at, start, end, why)
        if self._open:
            self.link.refused_by_codec(broken)
        else:
            self._early_broken.append(broken)
        return end - at
