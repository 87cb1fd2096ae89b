"""Where packets begin and end in what a socket has read [MQTT-2.1.4]. Pure."""

from __future__ import annotations

from mooring.link.protocol import Broken

__all__ = ["NotMqtt", "broken_publish", "frame", "missing"]

PUBLISH = 3
_SHIFT_MOST = 21  # a length has four bytes at most


class NotMqtt(ValueError):
    """The length of a packet has more than four bytes."""


def frame(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the packet at ``at`` has its first byte after the length, and where it ends; the end
    may not have arrived yet. ``None``: its length is not complete.

    Raises:
        NotMqtt: this is not a packet.
    """
    length, shift, offset = 0, 0, at + 1
    while offset < len(data):
        byte = data[offset]
        length |= (byte & 0x7F) << shift
        offset += 1
        if not byte & 0x80:
            return offset, offset + length
        if shift == _SHIFT_MOST:
            raise NotMqtt("The length of a packet has more than four bytes.")
        shift += 7
    return None


def missing(data: bytes, at: int) -> int:
    """How many bytes of the incomplete packet at ``at`` are certainly still to come, at least 1."""
    try:
        found = frame(data, at)
    except NotMqtt:
        return 1  # the codec says so at the next read
    return 1 if found is None else max(1, found[1] - len(data))


def broken_publish(data: bytes, at: int, start: int, end: int, why: str) -> Broken:
    """The PUBLISH from ``at`` to ``end``, whose topic is at ``start``, that the codec rejects."""
    qos, number = data[at] >> 1 & 3, 0
    after_topic = min(start + 2 + int.from_bytes(data[start : start + 2], "big"), end)
    topic = data[start + 2 : after_topic].decode("utf-8", "backslashreplace")
    if qos:
        number = int.from_bytes(data[after_topic : min(after_topic + 2, end)], "big")
    return Broken(data[at:end], why, qos, number, topic)
