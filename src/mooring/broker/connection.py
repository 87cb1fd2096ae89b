"""A small MQTT 5 connection for control: one question at a time, no stream of messages.

The link carries devices' messages and is built for throughput; this is for asking whether a
broker answers and for commands to its plugins. It speaks QoS 0 and 1, keeps no session and
does not reconnect: the caller opens a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import mqtt5

from mooring.errors import BrokerUnavailable, Internal
from mooring.link.session import PacketIds

__all__ = ["Connection", "Endpoint", "answers"]

KEEP_ALIVE_SECONDS = 60
READ_BYTES = 1 << 20
NEVER = 0xFFFF_FFFF  # a session expiry interval [MQTT5-3.1.2.11.2]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom to connect; a ``host`` that begins with ``/`` is a Unix socket.

    ``password`` is kept out of ``repr`` by hand: it ends up in no log.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.username or 'anonymous'}@{self.host}:{self.port})"


class Connection:
    """An open connection; use ``async with await Connection.open(endpoint)``."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name
        self._buffer = bytearray()
        self._ids = PacketIds()
        self.connack: mqtt5.ConnAckPacket | None = None
        self._goodbye = mqtt5.DisconnectPacket()

    @classmethod
    async def open(
        cls,
        endpoint: Endpoint,
        *,
        client_id: str | None = None,
        keep_alive: int = KEEP_ALIVE_SECONDS,
        within: float = 10,
        keep_session: bool = False,
    ) -> Self:
        """Connect and log in.

        Args:
            endpoint: where and as whom.
            client_id: chosen at random unless given.
            keep_alive: seconds after which the broker gives up on a silent client; 0: never,
                for a connection that is idle most of the time.
            within: seconds for everything from TCP to CONNACK.
            keep_session: a session that the broker holds for this client id stays as it is.

        Raises:
            BrokerUnavailable: nobody there, no MQTT, or our account is rejected
                (``code`` is then ``broker_refused``).
        """
        where = f"the broker at {endpoint.host}:{endpoint.port}"
        self = await cls._connect(endpoint, client_id, keep_alive, within, keep_session)
        assert self.connack is not None
        reason = self.connack.reason_code
        if reason != mqtt5.ConnAckReasonCode.SUCCESS:
            await self.close()
            raise BrokerUnavailable(
                f"{where[0].upper()}{where[1:]} rejects "
                f"{endpoint.username or 'an anonymous client'}: {_words(reason)}.",
                hint="Check the account that Mooring uses on the broker.",
                code="broker_refused",
            )
        return self

    @classmethod
    async def _connect(
        cls,
        endpoint: Endpoint,
        client_id: str | None,
        keep_alive: int,
        within: float,
        keep_session: bool = False,
    ) -> Self:
        where = f"The broker at {endpoint.host}:{endpoint.port}"
        try:
            async with asyncio.timeout(within):
                if endpoint.host.startswith("/"):
                    reader, writer = await asyncio.open_unix_connection(
                        endpoint.host, limit=READ_BYTES
                    )
                else:
                    reader, writer = await asyncio.open_connection(
                        endpoint.host, endpoint.port, ssl=endpoint.tls, limit=READ_BYTES
                    )
                self = cls(reader, writer, where)
                try:
                    await self._log_in(endpoint, client_id, keep_alive, keep_session)
                except BaseException:
                    writer.transport.abort()
                    raise
        except TimeoutError as exc:
            raise BrokerUnavailable(f"{where} did not answer within {within:g} s.") from exc
        except OSError as exc:  # rejected, unreachable, and every TLS failure
            raise BrokerUnavailable(
                f"{where} cannot be reached: {exc}.", hint="Is the broker running?"
            ) from exc
        return self

    async def _log_in(
        self, endpoint: Endpoint, client_id: str | None, keep_alive: int, keep_session: bool
    ) -> None:
        password = endpoint.password
        packet = mqtt5.ConnectPacket(
            client_id or f"mooring-{secrets.token_hex(16)}",
            username=endpoint.username,
            password=None if password is None else password.encode(),
            clean_start=not keep_session,
            keep_alive=keep_alive,
            session_expiry_interval=NEVER if keep_session else 0,
        )
        await self._send(packet.write())
        answer = await self.read()
        if not isinstance(answer, mqtt5.ConnAckPacket):
            raise BrokerUnavailable(f"{self._name} did not answer CONNECT with CONNACK.")
        self.connack = answer
        if keep_session and not answer.session_present:  # it would be left behind
            self._goodbye = mqtt5.DisconnectPacket(session_expiry_interval=0)

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe at QoS 0.

        Raises:
            BrokerUnavailable: the connection broke or a filter was rejected.
        """
        packet_id = self._ids.next()
        wanted = [mqtt5.TopicFilter(f, max_qos=mqtt5.QoS.AT_MOST_ONCE) for f in filters]
        await self._send(mqtt5.SubscribePacket(packet_id, wanted).write())
        while True:
            packet = await self.read()
            if isinstance(packet, mqtt5.SubAckPacket) and packet.packet_id == packet_id:
                break
        refused = [
            f for f, code in zip(filters, packet.reason_codes, strict=True) if int(code) >= 128
        ]
        if refused:
            raise BrokerUnavailable(
                f"{self._name} does not allow Mooring to subscribe to {', '.join(refused)}.",
                hint="Check the role of the account that Mooring uses on the broker.",
                code="broker_refused",
            )

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send at QoS 1 without waiting for the acknowledgement."""
        packet = mqtt5.PublishPacket(
            topic,
            payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            packet_id=self._ids.next(),
            retain=retain,
        )
        await self._send(packet.write())

    async def retained(self, filters: Sequence[str]) -> list[str]:
        """Topics with a retained message that these filters match; they are subscribed then.

        Raises:
            BrokerUnavailable: the connection broke.
        """
        found = self.retained_messages(filters)
        return list(dict.fromkeys([packet.topic async for packet in found]))

    async def retained_messages(self, filters: Sequence[str]) -> AsyncIterator[mqtt5.PublishPacket]:
        """The retained messages that these filters match; they are subscribed then.

        Raises:
            BrokerUnavailable: the connection broke.
        """
        wanted = [mqtt5.TopicFilter(f, max_qos=mqtt5.QoS.AT_MOST_ONCE) for f in filters]
        await self._send(mqtt5.SubscribePacket(self._ids.next(), wanted).write())
        await self.ping()
        while True:
            # Some brokers send them before SUBACK, and all before the answer to the ping.
            packet = await self.read()
            if isinstance(packet, mqtt5.PublishPacket) and packet.retain:
                yield packet
            if isinstance(packet, mqtt5.PingRespPacket):
                return

    async def ping(self) -> None:
        """Ask the broker for a sign of life; ``read`` returns the answer."""
        await self._send(mqtt5.PingReqPacket().write())

    async def read(self) -> mqtt5.Packet:
        """The next packet. A QoS 1 message is acknowledged immediately.

        Raises:
            BrokerUnavailable: the broker closed the connection or sent no MQTT 5.
        """
        while True:
            packet = self._take()
            if packet is None:
                try:
                    data = await self._reader.read(READ_BYTES)
                except OSError as exc:
                    raise BrokerUnavailable(f"{self._name} dropped the connection.") from exc
                if not data:
                    raise BrokerUnavailable(f"{self._name} closed the connection.")
                self._buffer += data
                continue
            if isinstance(packet, mqtt5.DisconnectPacket):
                raise BrokerUnavailable(
                    f"{self._name} ended the connection: {_words(packet.reason_code)}."
                )
            if isinstance(packet, mqtt5.PublishPacket) and packet.packet_id is not None:
                await self._send(mqtt5.PubAckPacket(packet.packet_id).write())
            return packet

    def _take(self) -> mqtt5.Packet | None:
        with memoryview(self._buffer) as view:
            try:
                packet, size = mqtt5.read(view)
            except IndexError:  # not all of it is here yet
                return None
            except ValueError as exc:
                raise BrokerUnavailable(f"{self._name} does not support MQTT 5: {exc}.") from exc
        del self._buffer[:size]
        return packet

    async def close(self) -> None:
        """Say goodbye and close; never raises, for there is nothing left to do about it."""
        with contextlib.suppress(OSError, BrokerUnavailable):
            await self._send(self._goodbye.write())
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as exc:
            raise BrokerUnavailable(f"{self._name} dropped the connection.") from exc

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


async def answers(endpoint: Endpoint, *, within: float = 5) -> bool:
    """Whether a broker answers CONNECT there, be it with a rejection.

    An open TCP port is not enough: Mosquitto listens before it has loaded its database.
    """
    try:
        connection = await Connection._connect(endpoint, None, KEEP_ALIVE_SECONDS, within)
    except BrokerUnavailable:
        return False
    await connection.close()
    return True


def _words(code: object) -> str:
    name = getattr(code, "name", None)
    if name is None:
        raise Internal(f"Reason code {code!r} has no name.")
    return str(name).replace("_", " ").lower()
