"""The packets of MQTT 3.1.1 that a device sends, and those it gets, as bytes. Pure.

Only what a client needs: no packet that a broker alone sends is written, and none that a
client alone sends is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mooring.errors import Unavailable

__all__ = [
    "DISCONNECT",
    "PINGREQ",
    "PUBREC",
    "PUBREL",
    "Acknowledged",
    "ConnAck",
    "NotMqtt",
    "Packet",
    "Pong",
    "Publish",
    "Reader",
    "SubAck",
    "Will",
    "connect",
    "puback",
    "pubcomp",
    "publish",
    "pubrec",
    "pubrel",
    "subscribe",
]

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
MAX_REMAINING = 268_435_455  # [MQTT-2.2.3]
PUBREC, PUBREL = 5, 6  # packet types, see ``Acknowledged.kind``
_PUBACK, _PUBCOMP = 4, 7


class NotMqtt(Unavailable):
    """What came from the broker is not MQTT 3.1.1."""

    code = "not_mqtt"


@dataclass(frozen=True, slots=True)
class Will:
    """The Last Will of a connection."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class ConnAck:
    """The broker's answer to CONNECT; 0 is welcome, 4 and 5 are rejections of the login."""

    code: int
    session_present: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """A message from the broker."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, by ``kind`` (the packet type's number)."""

    kind: int
    packet_id: int


@dataclass(frozen=True, slots=True)
class SubAck:
    """Granted QoS for each filter; 0x80 is a rejection [MQTT-3.9.3-2]."""

    packet_id: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pong:
    """PINGRESP."""


Packet = ConnAck | Publish | Acknowledged | SubAck | Pong


# ---------------------------------------------------------------------- writing


def connect(
    client_id: str,
    *,
    username: str,
    password: str,
    keep_alive: int,
    clean: bool,
    will: Will | None = None,
) -> bytes:
    """CONNECT with a login. ``keep_alive`` is in seconds."""
    flags = 0b1100_0000 | (0b10 if clean else 0)
    if will is not None:
        flags |= 0b100 | will.qos << 3 | (0b10_0000 if will.retain else 0)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + keep_alive.to_bytes(2, "big") + _text(client_id)
    if will is not None:
        body += _text(will.topic) + _binary(will.payload)
    return _packet(0x10, body + _text(username) + _text(password))


def publish(
    topic: str, payload: bytes, *, qos: int, retain: bool, packet_id: int = 0, again: bool = False
) -> bytes:
    """PUBLISH; ``packet_id`` is for QoS 1 and 2, ``again`` marks a repetition."""
    flags = 0x30 | (8 if again and qos else 0) | qos << 1 | (1 if retain else 0)
    number = packet_id.to_bytes(2, "big") if qos else b""
    return _packet(flags, _text(topic) + number + payload)


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """SUBSCRIBE to filters, each with the highest QoS to deliver at."""
    wanted = b"".join(_text(name) + bytes([qos]) for name, qos in filters)
    return _packet(0x82, packet_id.to_bytes(2, "big") + wanted)  # [MQTT-3.8.1-1]


def puback(packet_id: int) -> bytes:
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def pubrec(packet_id: int) -> bytes:
    return b"\x50\x02" + packet_id.to_bytes(2, "big")


def pubrel(packet_id: int) -> bytes:
    return b"\x62\x02" + packet_id.to_bytes(2, "big")  # [MQTT-3.6.1-1]


def pubcomp(packet_id: int) -> bytes:
    return b"\x70\x02" + packet_id.to_bytes(2, "big")


def _packet(first: int, body: bytes) -> bytes:
    left = len(body)
    length = bytearray()
    while True:
        left, byte = divmod(left, 128)
        length.append(byte | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(length) + body


def _text(text: str) -> bytes:
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


# ---------------------------------------------------------------------- reading


class Reader:
    """Takes bytes as they arrive and gives whole packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete now.

        Raises:
            NotMqtt: the bytes are not MQTT 3.1.1; the connection is of no more use.
        """
        data = self._rest + data if self._rest else data
        self._rest = b""
        at = 0
        while True:
            found = _frame(data, at)
            if found is None:
                self._rest = data[at:]
                return
            start, end = found
            yield _read(data[at], data[start:end])
            at = end


def _frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at ``at`` begins and ends; ``None`` while it is not whole."""
    length, shift = 0, 0
    for position in range(at + 1, min(at + 5, len(data))):
        byte = data[position]
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            end = position + 1 + length
            return (position + 1, end) if end <= len(data) else None
        shift += 7
    if len(data) - at > 4:  # four length bytes, and each said that another follows
        raise NotMqtt("The broker sent a packet with an invalid length.")
    return None


def _read(first: int, body: bytes) -> Packet:
    kind = first >> 4
    flags = first & 0x0F
    if flags & 6 == 6 if kind == 3 else flags != (2 if kind == PUBREL else 0):
        # [MQTT-2.2.2-2], [MQTT-3.3.1-4]
        raise NotMqtt(f"The broker sent a packet of type {kind} with the flags {flags}.")
    try:
        match kind:
            case 2:
                return ConnAck(body[1], bool(body[0] & 1))
            case 3:
                return _read_publish(first, body)
            case _ if _PUBACK <= kind <= _PUBCOMP:
                return Acknowledged(kind, _number(body, 0))
            case 9:
                return SubAck(_number(body, 0), tuple(body[2:]))
            case 13:
                return Pong()
    except (IndexError, UnicodeDecodeError) as exc:
        raise NotMqtt(f"The broker sent an invalid packet of type {kind}.") from exc
    raise NotMqtt(f"The broker sent a packet of type {kind}, which a client must not receive.")


def _read_publish(first: int, body: bytes) -> Publish:
    size = _number(body, 0)
    topic = body[2 : 2 + size].decode()
    qos = first >> 1 & 3
    at = 2 + size
    if not qos:
        return Publish(topic, body[at:], 0, 0)
    return Publish(topic, body[at + 2 :], qos, _number(body, at))


def _number(body: bytes, at: int) -> int:
    return body[at] << 8 | body[at + 1]
