"""Queries evaluated one device at a time in Python: what SQL must agree to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.devices.attributes.keys import keys_of
from mooring.devices.attributes.terms import (
    Both,
    Condition,
    Connected,
    Either,
    Enabled,
    Firmware,
    HasProblem,
    InGroup,
    Like,
    Mentions,
    Named,
    Not,
    Presence,
    Problem,
    Ranged,
    Sign,
    SilentFor,
    Term,
)
from mooring.store.version_key import version_key

__all__ = ["Known", "naive"]


@dataclass(frozen=True)
class Known:
    """What is known of a device."""

    name: str
    dialect: str = "pulse"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    firmware: str | None = None
    presence: str | None = None
    groups: frozenset[str] = frozenset()
    enabled: bool = True
    connected: bool = False
    called: tuple[str, ...] = ()  # everything it is called by, besides its name
    silent_ms: int = 0
    problems: frozenset[Problem] = frozenset()


def naive(  # noqa: PLR0911, PLR0912 - one for each kind
    condition: Condition, device: Known
) -> bool:
    """Whether the device meets the condition."""
    match condition:
        case Term(name, key, negated):
            found = _keys(device, name)
            return (bool(found) if key is None else key in found) is not negated
        case Ranged(name, sign, key):
            return any(_compares(one, sign, key) for one in _keys(device, name))
        case Like(name, pattern):
            texts = [one[1:] for one in _keys(device, name) if one[0] == "t"]
            return any(_fits(one, pattern) for one in texts)
        case Named(which, word, pattern):
            mine = device.name if which == "name" else device.dialect
            return _fits(mine, word) if pattern else mine == word
        case Firmware(sign, key):
            if device.firmware is None:
                return False
            return key is None or _compares(version_key(device.firmware), sign, key)
        case InGroup(name):
            return bool(device.groups) if name is None else name in device.groups
        case Presence(state):
            return (device.presence or "never_seen") == state
        case Enabled():
            return device.enabled
        case Connected():
            return device.connected
        case Mentions(text):
            return any(text in one.lower() for one in (device.name, *device.called))
        case SilentFor(ms):
            return device.silent_ms > ms
        case HasProblem(problem):
            return bool(device.problems) if problem is None else problem in device.problems
        case Not(part):
            return not naive(part, device)
        case Both(parts):
            return all(naive(part, device) for part in parts)
        case Either(parts):
            return any(naive(part, device) for part in parts)


def _keys(device: Known, name: str) -> list[str]:
    if name not in device.attributes:
        return []
    value = device.attributes[name]
    return keys_of(name, tuple(value) if isinstance(value, list) else value)


def _compares(mine: str, sign: Sign, other: str) -> bool:
    if mine[0] != other[0]:
        return False
    return {
        Sign.EQUAL: mine == other,
        Sign.BELOW: mine < other,
        Sign.UPTO: mine <= other,
        Sign.ABOVE: mine > other,
        Sign.FROM: mine >= other,
    }[sign]


def _fits(text: str, pattern: str) -> bool:
    parts = {"*": ".*", "?": "."}
    found = "".join(parts.get(one, re.escape(one)) for one in pattern)
    return re.fullmatch(found, text, re.DOTALL) is not None
