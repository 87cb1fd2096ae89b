"""A device's connection: MQTT 3.1.1 as the fleets speak it, thousands in one process.

One ``asyncio.Protocol`` a socket and no thread. A message of QoS 1 or 2 is kept until the
broker has it and goes out again after a reconnect, as firmware does it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from mooring.errors import BrokerUnavailable
from mooring.link.session import Answers, KeepAlive, PacketIds
from mooring.simulate import packets
from mooring.simulate.packets import Acknowledged, ConnAck, Packet, Pong, Publish, SubAck, Will

__all__ = ["Client", "Login", "Refused"]

ANSWER_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 60
REFUSALS = {
    1: "it does not support MQTT 3.1.1",
    2: "the client id is not allowed",
    3: "it is not available",
    4: "username or password is malformed",
    5: "not authorised",
}


class Refused(BrokerUnavailable):
    """The broker answered CONNECT with a rejection; ``connack`` is its number."""

    code = "refused"

    def __init__(self, connack: int) -> None:
        super().__init__(
            f"The broker rejects the login: {REFUSALS.get(connack, f'code {connack}')}.",
            hint="It has not applied the device yet, or the password has changed.",
        )
        self.connack = connack


@dataclass(frozen=True, slots=True)
class Login:
    """Where a device connects, and as whom."""

    host: str
    port: int
    client_id: str
    username: str
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class _Sent:
    """A message that the broker has not got for certain yet."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    done: asyncio.Future[None]


class Client:
    """One device's way to the broker.

    Args:
        login: where and as whom.
        on_message: called with topic and payload of what the platform sends.
        on_lost: called when an open connection is gone, with the reason.
        keep_alive: seconds.
    """

    def __init__(
        self,
        login: Login,
        *,
        on_message: Callable[[str, bytes], None] = lambda _topic, _payload: None,
        on_lost: Callable[[str], None] = lambda _why: None,
        keep_alive: int = KEEP_ALIVE_SECONDS,
    ) -> None:
        self.login = login
        self.keep_alive = keep_alive
        self._on_message = on_message
        self._on_lost = on_lost
        self._socket: _Socket | None = None
        self._sent: dict[int, _Sent] = {}
        self._ids = PacketIds()
        self._arrived: set[int] = set()  # QoS 2 messages pending for PUBREL

    @property
    def connected(self) -> bool:
        return self._socket is not None and not self._socket.lost.done()

    @property
    def unacknowledged(self) -> int:
        """Messages on their way."""
        return len(self._sent)

    async def connect(self, will: Will | None = None) -> None:
        """Opens the connection and sends again what was not acknowledged on the last one.

        Raises:
            Refused: the broker rejects the login.
            BrokerUnavailable: it does not answer, or hangs up.
        """
        socket = await self._open()
        login = self.login
        answer = await socket.ask(
            0,
            packets.connect(
                login.client_id,
                username=login.username,
                password=login.password,
                keep_alive=self.keep_alive,
                clean=True,  # a simulation leaves no sessions behind
                will=will,
            ),
        )
        if not isinstance(answer, ConnAck) or answer.code:
            socket.close()
            raise Refused(answer.code if isinstance(answer, ConnAck) else 0)
        self._socket = socket
        socket.lost.add_done_callback(lambda lost: self._on_lost(lost.result()))
        self._arrived.clear()
        socket.keep_alive(self.keep_alive)
        for number, sent in self._sent.items():
            self._write(number, sent, again=True)

    async def subscribe(self, filters: list[tuple[str, int]]) -> list[bool]:
        """Subscribes; says for each filter whether the broker grants it."""
        socket = self._current()
        number = self._next_id()
        answer = await socket.ask(number, packets.subscribe(number, filters))
        assert isinstance(answer, SubAck)
        return [code < 0x80 for code in answer.codes]

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> asyncio.Future[None]:
        """Sends; the future is done when the broker has it, for QoS 0 at once.

        Raises:
            BrokerUnavailable: there is no connection.
        """
        socket = self._current()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not qos:
            socket.send(packets.publish(topic, payload, qos=0, retain=retain))
            done.set_result(None)
            return done
        number = self._next_id()
        sent = self._sent[number] = _Sent(topic, payload, qos, retain, done)
        self._write(number, sent, again=False)
        return done

    async def drain(self, seconds: float) -> bool:
        """Waits until the broker has everything; says whether it has, in that time."""
        waiting = [sent.done for sent in self._sent.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        return not self._sent

    def close(self, *, farewell: bool = True) -> None:
        """Ends the connection; with a farewell, so that the Last Will is not sent."""
        if self._socket is not None:
            if farewell:
                self._socket.send(packets.DISCONNECT)
            self._socket.close()
            self._socket = None

    # ------------------------------------------------------------------ inside

    async def _open(self) -> _Socket:
        loop = asyncio.get_running_loop()
        login = self.login
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                _, socket = await loop.create_connection(
                    lambda: _Socket(self._packet), login.host, login.port, ssl=login.tls
                )
        except (OSError, TimeoutError) as exc:
            why = getattr(exc, "strerror", None) or str(exc) or "no answer"
            raise BrokerUnavailable(
                f"The broker at {login.host}:{login.port} cannot be reached: {why}.",
                hint="Check that it runs: `mooring status`.",
            ) from exc
        return socket

    def _current(self) -> _Socket:
        if self._socket is None or self._socket.lost.done():
            raise BrokerUnavailable("There is no connection to the broker.", hint="Connect again.")
        return self._socket

    def _write(self, number: int, sent: _Sent, *, again: bool) -> None:
        self._current().send(
            packets.publish(
                sent.topic,
                sent.payload,
                qos=sent.qos,
                retain=sent.retain,
                packet_id=number,
                again=again,
            )
        )

    def _next_id(self) -> int:
        return self._ids.next(self._sent)

    def _packet(self, socket: _Socket, packet: Packet) -> None:
        match packet:
            case Publish(topic, payload, qos, number):
                self._message(socket, topic, payload, qos, number)
            case Acknowledged(kind, number):
                self._acknowledged(socket, kind, number)
            case ConnAck():
                socket.answered(0, packet)
            case SubAck(number):
                socket.answered(number, packet)
            case Pong():
                socket.heard()

    def _message(self, socket: _Socket, topic: str, payload: bytes, qos: int, number: int) -> None:
        if qos == 1:
            socket.send(packets.puback(number))
        elif qos == 2:
            socket.send(packets.pubrec(number))
            if number in self._arrived:
                return  # a repetition of one that is handed over [MQTT-4.3.3-2]
            self._arrived.add(number)
        self._on_message(topic, payload)

    def _acknowledged(self, socket: _Socket, kind: int, number: int) -> None:
        if kind == packets.PUBREL:
            self._arrived.discard(number)
            socket.send(packets.pubcomp(number))
        elif kind == packets.PUBREC:  # answered even when we know none of it any more
            socket.send(packets.pubrel(number))
        elif (sent := self._sent.pop(number, None)) is not None and not sent.done.done():
            sent.done.set_result(None)


class _Socket(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, on_packet: Callable[[_Socket, Packet], None]) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = loop.create_future()
        self._on_packet = on_packet
        self._reader = packets.Reader()
        self._answers: Answers[Packet] = Answers()
        self._transport: asyncio.Transport | None = None
        self._alive: KeepAlive | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass of it

    def data_received(self, data: bytes) -> None:
        try:
            for packet in self._reader.feed(data):
                self._on_packet(self, packet)
        except packets.NotMqtt as exc:
            self._ended(exc.message)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(str(exc) if exc else "the broker closed the connection")

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def ask(self, number: int, data: bytes) -> Packet:
        """The broker's answer to what is sent under a number; 0 is CONNECT."""
        if self.lost.done():
            raise BrokerUnavailable(f"The connection was lost: {self.lost.result()}.")
        return await self._answers.ask(number, lambda: self.send(data), ANSWER_SECONDS)

    def answered(self, number: int, packet: Packet) -> None:
        self._answers.give(number, packet)

    def heard(self) -> None:
        if self._alive is not None:
            self._alive.heard()

    def keep_alive(self, seconds: int) -> None:
        """Pings twice in that time, and gives the connection up when nothing answers."""
        if not seconds or self.lost.done():
            return
        self._alive = KeepAlive(seconds / 2, lambda: self.send(packets.PINGREQ), self._abort)
        self._alive.start()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _ended(self, why: str) -> None:
        if self._alive is not None:
            self._alive.stop()
        self._answers.fail(f"The connection was lost: {why}.")
        if not self.lost.done():
            self.lost.set_result(why)
