"""Topic filters with an account's values in them, and what is inside them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.dialects.topics import MAX_TOPIC_BYTES

__all__ = ["PLACEHOLDERS", "SERVICE_LEVELS", "fill", "is_filter", "is_topic"]
__all__ += ["within"]

PLACEHOLDERS = 8
"""Values an account has at most; the characters ``\\x01`` to ``\\x08`` stand for them."""

SERVICE_LEVELS = frozenset({"$CONTROL", "$mooring"})
"""First levels that only the service account may use, whatever a filter says."""


def is_topic(text: str) -> bool:
    """Whether a client may publish to it. [MQTT-3.3.2-2]"""
    return _fits(text) and not set("+#") & set(text)


def is_filter(text: str) -> bool:
    """Whether a client may subscribe to it. [MQTT-4.7.1-2], [MQTT-4.7.1-3]"""
    levels = text.split("/")
    return (
        _fits(text)
        and all(level in ("+", "#") or not set("+#") & set(level) for level in levels)
        and "#" not in levels[:-1]
    )


def fill(template: str, values: Sequence[str]) -> str | None:
    """The filter for one account; ``None`` when a value it needs is missing or empty."""
    parts = []
    for char in template:
        number = ord(char)
        if 1 <= number <= PLACEHOLDERS:
            if number > len(values) or not values[number - 1]:
                return None
            parts.append(values[number - 1])
        else:
            parts.append(char)
    return "".join(parts)


def within(  # noqa: PLR0911  # one rule, one line
    template: str, values: Sequence[str], wanted: str, *, subscribing: bool
) -> bool:
    """Whether a topic, or every topic of a filter, is inside an account's filter.

    Only ``+`` and ``#`` that stand alone in a level of the *template* are wildcards; the same
    characters in a value are literal, and so a filter with a wildcard there is not inside.
    A topic that begins with ``$`` is inside only if the template itself begins with ``$``.
    [MQTT-4.7.2-1]

    Args:
        template: a filter; ``\\x01`` to ``\\x08`` stand for values.
        values: the account's values, number 1 first; they may hold ``/``.
        wanted: a valid topic; with ``subscribing`` a valid filter.
        subscribing: ``wanted`` is a filter.
    """
    if wanted.startswith("$") and not template.startswith("$"):
        return False
    levels = _levels(template, values)
    if levels is None:
        return False
    asked = wanted.split("/")
    for number, (level, literal) in enumerate(levels):
        if level == "#" and not literal:
            return True
        if number == len(asked):
            return False
        here = asked[number]
        if level == "+" and not literal:
            if subscribing and here == "#":
                return False
        elif here != level or (subscribing and here in ("+", "#")):
            return False
    return len(asked) == len(levels)


def _levels(template: str, values: Sequence[str]) -> list[tuple[str, bool]] | None:
    """Each level, and whether it is literal: a value may look like a wildcard, or span levels."""
    levels: list[tuple[str, bool]] = []
    for level in template.split("/"):
        if level in ("+", "#"):
            levels.append((level, False))
            continue
        filled = fill(level, values)
        if filled is None:
            return None
        levels += [(part, True) for part in filled.split("/")]
    return levels


def _fits(text: str) -> bool:
    return 0 < len(text.encode(errors="surrogatepass")) <= MAX_TOPIC_BYTES and "\0" not in text
