"""One connection to the broker: paho-mqtt, driven by our own loop, in one thread.

A link is used once: connect, serve, end. A new connection is a new link, so nothing of paho's
own resending is left over: what is to be sent again is decided by the queue alone.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from mooring_device.credentials import Credentials
from mooring_device.errors import ConnectFailed
from mooring_device.tls import ResumingContext, gather_facts, refusal
from mooring_device.words import Facts, explain_connect_error, explain_tls_alert

__all__ = ["Arrived", "Link", "Refused", "Waker", "Will"]

# CONNACK codes 4 and 5 [MQTT-3.2.2-5] as paho names them, after MQTT 5.
_WRONG_LOGIN = (134, 135)


class Refused(ConnectFailed):
    """The broker answered CONNACK 4 or 5: username or password are wrong, or not any more."""


@dataclass(frozen=True)
class Will:
    """What the broker says when the device is gone without a word."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass(frozen=True)
class Arrived:
    """A message from the broker.

    Attributes:
        packet_id: 0 for QoS 0.
        repeat: the broker sent it before (DUP) [MQTT-3.3.1-1].
        retained: it was kept for new subscribers [MQTT-3.3.1-8].
    """

    topic: str
    payload: bytes
    packet_id: int = 0
    repeat: bool = False
    retained: bool = False


class Waker:
    """Wakes the network thread out of its waiting, from any thread."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def fileno(self) -> int:
        return self._read.fileno()

    def wake(self) -> None:
        # Full: it is awake already. Closed: the device is, too.
        with contextlib.suppress(BlockingIOError, OSError):
            self._write.send(b"\0")

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._read.recv(4096):
                pass

    def wait(self, timeout: float) -> None:
        """Sleep until woken, or for ``timeout`` seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.select(max(0.0, timeout))
        self.drain()

    def close(self) -> None:
        self._read.close()
        self._write.close()


class Link:
    """A connection with a persistent session (``clean_session`` false), QoS 1.

    Args:
        credentials: where to and as whom.
        context: for TLS, or ``None``.
        will: the Last Will, or ``None``.
        waker: ends ``turn`` early.
        keepalive, timeout: seconds; ``timeout`` bounds each step of connecting.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        context: ResumingContext | None,
        will: Will | None,
        waker: Waker,
        keepalive: int,
        timeout: float,
    ) -> None:
        self.arrived: list[Arrived] = []
        self.acked: list[int] = []
        self.granted: list[tuple[int, list[int]]] = []
        self._credentials = credentials
        self._context = context
        self._waker = waker
        self._keepalive = keepalive
        self._timeout = timeout
        self._connack: Any = None
        self._last_log = ""
        self._selector = selectors.DefaultSelector()
        self._selector.register(waker, selectors.EVENT_READ)
        self._watched = 0
        client = self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=credentials.client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = timeout
        client.max_inflight_messages_set(0)  # our window is the bound
        if credentials.username is not None:
            client.username_pw_set(credentials.username, credentials.password)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        if context is not None:
            client.tls_set_context(context)
            client.tls_insecure_set(not context.check_hostname)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_log = self._on_log

    # ------------------------------------------------------------------ the path of a link

    def open(self) -> None:
        """Connect and log in.

        Raises:
            Refused: wrong username or password.
            ConnectFailed: anything else, in words that say what to do.
        """
        where = self._credentials
        try:
            self._client.connect(where.host, where.port, self._keepalive)
        except OSError as exc:
            raise ConnectFailed(explain_connect_error(exc, self._facts(exc))) from exc
        sock: Any = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError, AttributeError):  # only makes it quicker
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.monotonic() + self._timeout
        while self._connack is None and self.turn(max(0.0, deadline - time.monotonic())):
            if time.monotonic() >= deadline:
                break
        self._judge()

    def _judge(self) -> None:
        peer = f"{self._credentials.host}:{self._credentials.port}"
        reason = self._connack
        if reason is None:
            if self._context is not None and self._last_log:
                where = self._credentials
                said = refusal(where.host, where.port, self._context) or self._last_log
                raise ConnectFailed(explain_tls_alert(said, self._facts(None)))
            raise ConnectFailed(
                f"{peer} took the connection and did not answer as an MQTT broker.",
                hint="Check that this is the broker's port.",
            )
        if reason.value in _WRONG_LOGIN:
            raise Refused(
                f"{peer} rejected the login of {self._credentials.username!r} ({reason}).",
                hint="`mooring device why` on the platform says for which reason.",
            )
        if reason.is_failure:
            raise ConnectFailed(f"{peer} rejected the connection: {reason}.")
        if self._context is not None:
            self._context.remember(self._client.socket())

    def turn(self, timeout: float) -> bool:
        """Wait for the network or the waker, and serve it; false when the link is down."""
        sock: Any = self._client.socket()
        if sock is None:
            return False
        events = selectors.EVENT_READ
        if self._client.want_write():
            events |= selectors.EVENT_WRITE
        if events != self._watched:
            (self._selector.modify if self._watched else self._selector.register)(sock, events)
            self._watched = events
        pending = bool(getattr(sock, "pending", int)())  # TLS may hold bytes select cannot see
        ready = {
            key.fileobj: mask for key, mask in self._selector.select(0 if pending else timeout)
        }
        if self._waker in ready:
            self._waker.drain()
        mask = ready.get(sock, 0)
        if mask & selectors.EVENT_READ or pending:
            self._client.loop_read()
        if mask & selectors.EVENT_WRITE:
            self._client.loop_write()
        self._client.loop_misc()
        return self.up

    def close(self) -> None:
        """Say goodbye and wait, at most two seconds, until it is sent."""
        self._client.disconnect()
        deadline = time.monotonic() + 2.0
        while self._client.want_write() and self.turn(0.1) and time.monotonic() < deadline:
            pass
        self.drop()

    def drop(self) -> None:
        """End the connection without a word; the broker then publishes the Last Will."""
        sock: Any = self._client.socket()
        if sock is not None:
            sock.close()
        self._selector.close()

    @property
    def up(self) -> bool:
        return self._client.socket() is not None

    @property
    def resumed(self) -> bool:
        """Whether TLS continued an earlier session."""
        return bool(getattr(self._client.socket(), "session_reused", False))

    # ------------------------------------------------------------------ messages

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """Send; answers with the packet id that ``acked`` will show."""
        return self._client.publish(topic, payload, qos=qos, retain=retain).mid

    def subscribe(self, filters: list[str]) -> int:
        """Subscribe at QoS 1; answers with the packet id that ``granted`` will show."""
        code, packet_id = self._client.subscribe([(f, 1) for f in filters])
        return packet_id if code == MQTTErrorCode.MQTT_ERR_SUCCESS and packet_id else 0

    def unsubscribe(self, filters: list[str]) -> None:
        """End subscriptions of an earlier session."""
        self._client.unsubscribe(filters)

    def ack(self, message: Arrived) -> None:
        """Acknowledge: what the message asked for is on disk."""
        if message.packet_id and self.up:
            self._client.ack(message.packet_id, 1)

    # ------------------------------------------------------------------ paho's callbacks

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, props: Any) -> None:
        self._connack = reason

    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        self.arrived.append(
            Arrived(
                message.topic,
                bytes(message.payload),
                message.mid if message.qos else 0,
                bool(message.dup),
                bool(message.retain),
            )
        )

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, props: Any) -> None:
        self.acked.append(mid)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, codes: Any, props: Any) -> None:
        self.granted.append((mid, [code.value for code in codes]))

    def _on_log(self, client: Any, userdata: Any, level: int, text: str) -> None:
        # The only place where paho tells why a socket failed.
        if "socket" in text:
            self._last_log = text

    def _facts(self, exc: OSError | None) -> Facts:
        where = self._credentials
        trusts = where.tls.trusts if where.tls else ""
        return gather_facts(where.host, where.port, trusts, exc)
