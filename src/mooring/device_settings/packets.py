"""Whether a device can take a message. Pure."""

from __future__ import annotations

from mooring.dialects.outgoing import packet_bytes
from mooring.errors import Invalid

__all__ = ["check_packet"]


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
