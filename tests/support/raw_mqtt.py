"""A hostile MQTT client: packets as bytes, right or wrong, with no library in between."""

from __future__ import annotations

import select
import socket
import ssl
from types import TracebackType
from typing import Any

__all__ = ["RawClient", "binary", "connect_packet", "packet", "publish_packet", "subscribe_packet"]

WAIT_SECONDS = 10.0


def packet(first: int, body: bytes) -> bytes:
    """A control packet: its first byte, the remaining length, the rest."""
    left, length = len(body), bytearray()
    while True:
        left, byte = divmod(left, 128)
        length.append(byte | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(length) + body


def binary(data: bytes | str) -> bytes:
    """A field with its length before it; text is sent as UTF-8, bytes as they are."""
    data = data.encode() if isinstance(data, str) else data
    return len(data).to_bytes(2, "big") + data


def connect_packet(
    client_id: bytes | str,
    username: bytes | str | None = None,
    password: bytes | str | None = None,
    *,
    clean: bool = True,
    keep_alive: int = 60,
    will: tuple[bytes | str, bytes] | None = None,
    version: int = 4,
    properties: bytes = b"",
    will_properties: bytes = b"",
) -> bytes:
    """CONNECT. ``version`` 4 is MQTT 3.1.1, 5 is MQTT 5; ``will`` is topic and payload, QoS 1."""
    flags = 2 if clean else 0
    fields = _properties(version, properties) + binary(client_id)
    if will is not None:
        flags |= 0b0000_1100
        fields += _properties(version, will_properties) + binary(will[0]) + binary(will[1])
    if username is not None:
        flags |= 0x80
        fields += binary(username)
    if password is not None:
        flags |= 0x40
        fields += binary(password)
    head = binary("MQTT") + bytes([version, flags]) + keep_alive.to_bytes(2, "big")
    return packet(0x10, head + fields)


def publish_packet(
    topic: bytes | str,
    payload: bytes,
    *,
    packet_id: int = 1,
    qos: int = 1,
    version: int = 4,
    retain: bool = False,
    properties: bytes = b"",
) -> bytes:
    """PUBLISH."""
    number = packet_id.to_bytes(2, "big") if qos else b""
    head = binary(topic) + number + _properties(version, properties)
    return packet(0x30 | qos << 1 | retain, head + payload)


def subscribe_packet(*filters: bytes | str, packet_id: int = 1, version: int = 4) -> bytes:
    """SUBSCRIBE at QoS 1."""
    wanted = b"".join(binary(one) + b"\x01" for one in filters)
    return packet(0x82, packet_id.to_bytes(2, "big") + _properties(version, b"") + wanted)


def _properties(version: int, properties: bytes) -> bytes:
    """Those of MQTT 5, up to 127 bytes, with their length before them."""
    return bytes([len(properties)]) + properties if version == 5 else b""


class RawClient:
    """One TCP (or TLS) connection on loopback. A context manager that closes it."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.code: int | None = None
        """What CONNACK said: 0 is accepted; ``None``: nothing yet, or closed instead."""
        self._socket: socket.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=WAIT_SECONDS
        )
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="127.0.0.1")

    def send(self, data: bytes) -> None:
        """Raises: OSError when the other side has closed the connection."""
        self._socket.sendall(data)

    def receive(self) -> tuple[int, bytes] | None:
        """The next packet: first byte and body; ``None`` when the connection is closed."""
        first = self._exactly(1)
        if first is None:
            return None
        length = shift = 0
        while True:
            byte = self._exactly(1)
            if byte is None:
                return None
            length |= (byte[0] & 0x7F) << shift
            if not byte[0] & 0x80:
                break
            shift += 7
        body = self._exactly(length)
        return None if body is None else (first[0], body)

    def connect(
        self,
        client_id: bytes | str,
        username: bytes | str | None = None,
        password: bytes | str | None = None,
        **options: Any,
    ) -> int | None:
        """CONNECT; options as ``connect_packet``. Returns ``code``, the broker's answer."""
        self.send(connect_packet(client_id, username, password, **options))
        answer = self.receive()
        self.code = None if answer is None else answer[1][1]
        return self.code

    def closed(self) -> bool:
        """Whether the other side has closed it; what it has sent is thrown away."""
        try:
            while select.select([self._socket], [], [], 0)[0]:
                if not self._socket.recv(4096):
                    return True
        except OSError:
            return True
        return False

    def drop(self) -> None:
        """Ends it without DISCONNECT, as a power cut does."""
        self._socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def _exactly(self, count: int) -> bytes | None:
        data = b""
        while len(data) < count:
            try:
                more = self._socket.recv(count - len(data))
            except ConnectionError:
                return None
            if not more:
                return None
            data += more
        return data
