"""What counts as the same device, which rule matches a name, and what an unknown device is
answered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mooring.dialects import check_word, normal_mac
from mooring.dialects.meaning import metadata
from mooring.dialects.model import Dialect, Identity, Kind
from mooring.dialects.outgoing import compose
from mooring.dialects.payload import BadPayload, PayloadLimits, compile_decoder
from mooring.discovery.model import Action, Answer, Rule, State
from mooring.errors import Invalid
from mooring.store.schema.base import shown

__all__ = [
    "DAY_MS",
    "about",
    "answer",
    "check_pattern",
    "device_name",
    "key_of",
    "matches",
    "rule_for",
]

DAY_MS = 86_400_000
STARS_MAX = 3
ABOUT_MAX, ABOUT_LENGTH = 16, 100  # values of a registration that are shown, their characters


def key_of(name: str) -> str:
    """The same for every way to write one MAC address; another name unchanged."""
    try:
        return normal_mac(name)
    except Invalid:
        return name


def device_name(name: str) -> str:
    """What the device of that name is to be called.

    Raises:
        Invalid: no device can have this name.
    """
    key = key_of(name)
    check_word(key, "device name")
    return key


def check_pattern(pattern: str) -> None:
    """A pattern is a device name in which ``*`` stands for any characters, also for none.

    Raises:
        Invalid: ``invalid_pattern``.
    """
    words = pattern.split("*")
    if len(words) > STARS_MAX + 1 or not pattern:
        raise Invalid(
            f"{pattern[:64]!a} is not a valid pattern.",
            hint=f"Use a device name with at most {STARS_MAX} times '*', for example sensor-*.",
            code="invalid_pattern",
        )
    check_word(pattern.replace("*", "x"), "pattern")


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern. Takes time in proportion to the length of the name."""
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *middle, last = others
    if not name.startswith(first) or len(name) < len(first) + len(last):
        return False
    if not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for word in middle:
        found = name.find(word, at, end)
        if found < 0:
            return False
        at = found + len(word)
    return True


def rule_for(rules: Iterable[Rule], dialect: str, name: str, at: int) -> Rule | None:
    """The rule that decides about a name now. One that refuses comes before one that accepts; one
    whose quota is used up accepts nothing.

    Args:
        rules: of the tenant in whose list the device is.
        at: epoch milliseconds.
    """
    names = {name, key_of(name)}
    fitting = [
        rule
        for rule in rules
        if rule.dialect == dialect and any(matches(rule.pattern, one) for one in names)
    ]
    refusing = (rule for rule in fitting if rule.action is Action.REFUSE)
    accepting = (rule for rule in fitting if rule.action is Action.ACCEPT and rule.left(at) > 0)
    return next(refusing, None) or next(accepting, None)


def answer(dialect: Dialect, tenant: str, name: str, state: State, at: int) -> Answer | None:
    """What a device is answered that asks to be registered; ``None`` where its dialect has no
    channel for it, or its name is not one that a device can have."""
    try:
        check_word(name, "device name")
        check_word(tenant, "tenant")
    except Invalid:
        return None
    channel = next(iter(dialect.of_kind(Kind.REGISTER_RESPONSE)), None)
    if channel is None or channel.operator_only:
        return None
    mac = name if key_of(name) != name else None
    topic = channel.address(Identity(tenant, name, mac))
    if topic is None:
        return None
    payload = compose(channel.payload, {"status": str(state)}, time_ms=at, device=name)
    return Answer(topic, payload, channel.qos)


def about(dialect: Dialect, payload: bytes) -> Mapping[str, Any]:
    """What a registration says of its device, for people: nobody has checked it."""
    channel = next(iter(dialect.of_kind(Kind.REGISTER)), None)
    if channel is None or not payload:
        return {}
    limits = PayloadLimits()
    decoded = compile_decoder(channel.payload, limits)(payload, 0)
    if isinstance(decoded, BadPayload) or not isinstance(decoded.body, dict):
        return {}
    said = metadata(channel.payload, decoded.body, limits)
    return {
        shown(name, ABOUT_LENGTH): shown(value, ABOUT_LENGTH) if isinstance(value, str) else value
        for name, value in list(said.items())[:ABOUT_MAX]
    }
