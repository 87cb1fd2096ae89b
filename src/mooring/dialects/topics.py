"""Topic names and topic filters, by the letter of MQTT 3.1.1 and 5, section 4.7.

Matching here is for one filter against one topic; for many patterns at once there is
``mooring.dialects.match.Router``.
"""

from __future__ import annotations

__all__ = [
    "MAX_TOPIC_BYTES",
    "MAX_TOPIC_LEVELS",
    "filters_overlap",
    "topic_matches",
    "valid_filter",
    "valid_topic_name",
]

MAX_TOPIC_BYTES = 65535  # [MQTT-4.7.3-3]
MAX_TOPIC_LEVELS = 200  # Mosquitto disconnects a client that uses more slashes than this


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether a valid filter covers a valid topic name. Case counts [MQTT-4.7.3-4]."""
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False  # [MQTT-4.7.2-1]
    levels = topic.split("/")
    position = 0
    for position, wanted in enumerate(topic_filter.split("/")):
        if wanted == "#":
            return True  # the parent level and everything below it [MQTT-4.7.1-2]
        if position == len(levels):
            # "sport/#" covers "sport": only "#" may be one level past the end
            return False
        if wanted not in ("+", levels[position]):
            return False
    return position + 1 == len(levels)


def valid_filter(topic_filter: str) -> bool:
    """Whether a SUBSCRIBE may carry this filter [MQTT-4.7.1-2, 4.7.1-3, 4.7.3-1 to -3]."""
    if not _valid_string(topic_filter):
        return False
    levels = topic_filter.split("/")
    if any("#" in level for level in levels[:-1]):
        return False
    if "#" in levels[-1] and levels[-1] != "#":
        return False
    return all(level == "+" for level in levels if "+" in level)


def valid_topic_name(topic: str) -> bool:
    """Whether a PUBLISH may carry this topic: no wildcard [MQTT-3.3.2-2]."""
    return _valid_string(topic) and "+" not in topic and "#" not in topic


def filters_overlap(one: str, other: str) -> bool:
    """Whether some topic name is covered by both filters."""
    first, second = one.split("/"), other.split("/")
    if {first[0][:1], second[0][:1]} in ({"$", "+"}, {"$", "#"}):
        return False  # [MQTT-4.7.2-1]
    for left, right in zip(first, second, strict=False):
        if "#" in (left, right):
            return True
        if left != right and "+" not in (left, right):
            return False
    # One ran out: the other may only continue with "#", which also covers the parent level.
    shorter = min(len(first), len(second))
    rest = first[shorter:] or second[shorter:]
    if shorter == 1 and "" in (first[0], second[0]):
        return False  # the parent of "/#" would be the empty topic, which is none [MQTT-4.7.3-1]
    return not rest or rest[0] == "#"


def filter_covers(wide: str, narrow: str) -> bool:
    """Whether every topic name that ``narrow`` covers is covered by ``wide``, too."""
    if wide[:1] in ("+", "#") and narrow.startswith("$"):
        return False  # [MQTT-4.7.2-1]
    levels = narrow.split("/")
    position = 0
    for position, wanted in enumerate(wide.split("/")):
        if wanted == "#":
            return True
        if position == len(levels) or levels[position] == "#":
            return False
        if wanted not in ("+", levels[position]):
            return False
    return position + 1 == len(levels)


def _valid_string(text: str) -> bool:
    """At least one character, no NUL, at most 65535 bytes of well-formed UTF-8."""
    if not text or "\0" in text:
        return False
    try:
        return len(text.encode()) <= MAX_TOPIC_BYTES
    except UnicodeEncodeError:  # a lone surrogate [MQTT-1.5.4-1]
        return False
