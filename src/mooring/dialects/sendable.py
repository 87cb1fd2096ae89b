"""Topics that the platform itself may publish to. Pure."""

from __future__ import annotations

from mooring.dialects.topics import MAX_TOPIC_LEVELS, valid_topic_name
from mooring.errors import Invalid

__all__ = ["check_topic"]


def check_topic(topic: str) -> None:
    """Raises ``Invalid`` for a text that is not a topic name, and for the broker's own topics."""
    if not valid_topic_name(topic):
        raise Invalid(
            f"{topic[:100]!a} is not a topic to publish to.",
            hint="A topic has no + or # and at most 65535 bytes.",
            code="invalid_topic",
        )
    if topic.count("/") >= MAX_TOPIC_LEVELS or any(map(_hangs_up, topic)):
        raise Invalid(
            f"{topic[:100]!a} is a topic brokers disconnect for.",
            hint="Remove control characters, and use fewer levels.",
            code="invalid_topic",
        )
    if topic.startswith("$"):
        raise Invalid(
            f"{topic[:100]!a} is reserved for the broker.",
            hint="Topics that begin with $ cannot be published to.",
            code="invalid_topic",
        )


def _hangs_up(character: str) -> bool:
    """Whether Mosquitto takes it for a malformed packet and ends the connection, which all
    messages share: control characters and non-characters [MQTT-1.5.4, not normative]."""
    number = ord(character)
    return (
        number < 0x20
        or 0x7F <= number <= 0x9F
        or 0xFDD0 <= number <= 0xFDEF
        or number & 0xFFFE == 0xFFFE
    )
