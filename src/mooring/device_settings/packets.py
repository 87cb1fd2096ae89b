"""How large a message is on the wire. Pure."""

from __future__ import annotations

from mooring.errors import Invalid

__all__ = ["check_packet", "packet_bytes"]


def packet_bytes(topic: str, payload: bytes, qos: int) -> int:
    """Bytes of a PUBLISH packet of MQTT 3.1.1 [MQTT-3.3]."""
    rest = 2 + len(topic.encode()) + (2 if qos else 0) + len(payload)
    length = 1
    while rest >= 128**length:
        length += 1
    return 1 + length + rest


def check_packet(topic: str, payload: bytes, qos: int, most: int) -> None:
    """Checks a message against what its device can take.

    Args:
        most: bytes of the largest packet; 0: not known.

    Raises:
        Invalid: ``packet_too_large``, with both numbers.
    """
    size = packet_bytes(topic, payload, qos)
    if most and size > most:
        raise Invalid(
            f"The packet would have {size} bytes with its topic; the device accepts {most}.",
            hint="Send less. The dialect or the device's attribute max_packet sets the limit.",
            code="packet_too_large",
            bytes=size,
            most=most,
        )
