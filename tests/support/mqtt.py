"""A small MQTT client for tests, on paho-mqtt: every step waits for the broker's answer."""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

__all__ = ["MqttClient", "MqttMessage", "Refused"]

WAIT_SECONDS = 20.0


class Refused(AssertionError):
    """The broker said no; ``reason`` is its word (paho's), ``code`` the number."""

    def __init__(self, step: str, code: ReasonCode) -> None:
        super().__init__(f"{step} was refused: {code}")
        self.reason = str(code)
        self.code = int(code.value)


@dataclass(frozen=True, slots=True)
class MqttMessage:
    """One message as it came in."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool


class MqttClient:
    """One connection, MQTT 3.1.1 unless told otherwise. A context manager that connects.

    Args:
        port: the listener's; ``tls`` is for TLS listeners.
        clean: whether the broker forgets the session at the end (3.1.1's clean session).
        will: topic, payload, QoS, retain of the Last Will.
        protocol: ``MQTTProtocolVersion.MQTTv311`` or ``MQTTv5``.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        client_id: str = "",
        username: str | None = None,
        password: str | None = None,
        clean: bool = True,
        will: tuple[str, bytes, int, bool] | None = None,
        tls: ssl.SSLContext | None = None,
        transport: str = "tcp",
        keepalive: int = 60,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        manual_ack: bool = False,
    ) -> None:
        five = protocol is MQTTProtocolVersion.MQTTv5
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else clean,
            protocol=protocol,
            transport="websockets" if transport == "websockets" else "tcp",
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        self._address = (host, port)
        self._connect_options: dict[str, Any] = {"keepalive": keepalive}
        if five:
            self._connect_options["clean_start"] = clean
        if username is not None:
            self._client.username_pw_set(username, password)
        if will is not None:
            self._client.will_set(*will)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._messages: queue.Queue[MqttMessage] = queue.Queue()
        self._answers: dict[tuple[str, int], list[ReasonCode]] = {}
        self._changed = threading.Condition()
        self._connack: ReasonCode | None = None
        self._closed = False
        self.session_present = False
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    # ---------------------------------------------------------------- connection

    def connect(self) -> MqttClient:
        """Connects and waits for CONNACK.

        Raises:
            Refused: the broker does not let it in.
            OSError: nobody listens there, or TLS failed.
        """
        with self._changed:
            self._connack, self._closed = None, False
        self._client.connect(*self._address, **self._connect_options)
        self._client.loop_start()
        try:
            self._check("CONNECT", self._wait(lambda: self._connack, "CONNACK"))
        except BaseException:
            self._client.loop_stop()
            raise
        return self

    def disconnect(self) -> None:
        """Says goodbye (so no Last Will is sent) and ends the connection's thread."""
        self._client.disconnect()
        with contextlib.suppress(AttributeError):  # its thread ends between a check and a join
            self._client.loop_stop()

    def drop(self) -> None:
        """Cuts the connection without a word, as a power cut does."""
        connection = self._client.socket()
        self._client.loop_stop()
        if connection is not None:
            connection.close()

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def wait_for_disconnect(self, *, timeout: float = WAIT_SECONDS) -> None:
        """Waits until the broker has ended the connection."""
        self._wait(lambda: self._closed or None, "the broker to disconnect us", timeout)

    def __enter__(self) -> MqttClient:
        return self if self.connected else self.connect()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    # ---------------------------------------------------------------- traffic

    def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        qos: int = 1,
        retain: bool = False,
        timeout: float = WAIT_SECONDS,
    ) -> None:
        """Sends one message; with QoS 1 and 2 returns when the broker has acknowledged it.

        Raises:
            Refused: an MQTT 5 broker acknowledged with a failure.
            AssertionError: no acknowledgement in time, or the connection ended.
        """
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise AssertionError(f"PUBLISH was not sent: {paho.error_string(info.rc)}")
        if qos:
            self._answer("publish", info.mid, f"PUBACK for {topic}", timeout)

    def subscribe(self, *filters: str, qos: int = 1, timeout: float = WAIT_SECONDS) -> None:
        """Subscribes and waits for SUBACK.

        Raises:
            Refused: the broker refused one of the filters.
        """
        result, mid = self._client.subscribe([(name, qos) for name in filters])
        if result != paho.MQTT_ERR_SUCCESS or mid is None:
            raise AssertionError(f"SUBSCRIBE was not sent: {paho.error_string(result)}")
        self._answer("subscribe", mid, f"SUBACK for {filters}", timeout)

    def unsubscribe(self, *filters: str, timeout: float = WAIT_SECONDS) -> None:
        """Unsubscribes and waits for UNSUBACK."""
        result, mid = self._client.unsubscribe(list(filters))
        if result != paho.MQTT_ERR_SUCCESS or mid is None:
            raise AssertionError(f"UNSUBSCRIBE was not sent: {paho.error_string(result)}")
        self._answer("unsubscribe", mid, f"UNSUBACK for {filters}", timeout)

    def collect(self, count: int = 1, *, timeout: float = WAIT_SECONDS) -> list[MqttMessage]:
        """The next ``count`` messages, oldest first.

        Raises:
            AssertionError: fewer came in time; the text lists them.
        """
        found: list[MqttMessage] = []
        deadline = time.monotonic() + timeout
        while len(found) < count:
            try:
                found.append(self._messages.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(
                    f"{len(found)} of {count} messages came within {timeout:g} s: {found}"
                ) from None
        return found

    def waiting(self) -> list[MqttMessage]:
        """The messages that are here already, without waiting; it takes them out."""
        found = []
        while not self._messages.empty():
            found.append(self._messages.get_nowait())
        return found

    # ---------------------------------------------------------------- paho's thread

    def _on_connect(
        self, _client: Any, _data: Any, flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        with self._changed:
            self.session_present = bool(flags.session_present)
            self._connack = code
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: Any, _data: Any, _flags: Any, _code: ReasonCode, _properties: Any
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _on_subscribe(
        self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        self._answered("subscribe", mid, codes)

    def _on_unsubscribe(
        self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        self._answered("unsubscribe", mid, codes)

    def _on_publish(
        self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any
    ) -> None:
        self._answered("publish", mid, [code])

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._messages.put(
            MqttMessage(
                message.topic,
                bytes(message.payload),
                message.qos,
                bool(message.retain),
                bool(message.dup),
            )
        )

    # ---------------------------------------------------------------- waiting for it

    def _answered(self, step: str, mid: int, codes: list[ReasonCode]) -> None:
        with self._changed:
            self._answers[step, mid] = list(codes)
            self._changed.notify_all()

    def _answer(self, step: str, mid: int, what: str, timeout: float) -> None:
        for code in self._wait(lambda: self._answers.pop((step, mid), None), what, timeout):
            self._check(what, code)

    @staticmethod
    def _check(step: str, code: ReasonCode) -> None:
        if code.is_failure:
            raise Refused(step, code)

    def _wait(
        self, answer: Callable[[], Any | None], what: str, timeout: float = WAIT_SECONDS
    ) -> Any:
        """Waits until ``answer`` gives something, or the connection ends without."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = answer()
                if found is not None:
                    return found
                if self._closed:
                    raise AssertionError(f"The connection ended while waiting for {what}.")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"Waited {timeout:g} s for {what}.")
                self._changed.wait(left)
