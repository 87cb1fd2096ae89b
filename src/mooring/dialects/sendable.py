"""Topics that the platform itself may publish to. Pure."""

from __future__ import annotations

import re

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
    if topic.count("/") >= MAX_TOPIC_LEVELS or _hangs_up(topic):
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


_LAST_OF_PLANES = "".join(
    chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
_MALFORMED = re.compile(f"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef{_LAST_OF_PLANES}]")


def _hangs_up(topic: str) -> bool:
    """Whether Mosquitto takes it for a malformed packet and ends the connection, which all
    messages share: control characters and non-characters [MQTT-1.5.4, not normative]."""
    return _MALFORMED.search(topic) is not None
