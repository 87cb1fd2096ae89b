"""Conditions on devices, as values. Pure.

Each holds or does not hold for every device: what is not known of a device meets no condition, and
the negation of every condition that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "Both",
    "Condition",
    "Connected",
    "Either",
    "Enabled",
    "Firmware",
    "HasProblem",
    "InGroup",
    "Like",
    "Mentions",
    "Named",
    "Not",
    "Own",
    "Presence",
    "Problem",
    "Ranged",
    "Sign",
    "SilentFor",
    "Term",
    "flat",
    "groups_of",
]


class Sign(StrEnum):
    """How two values are compared."""

    EQUAL = "="
    BELOW = "<"
    UPTO = "<="
    ABOVE = ">"
    FROM = ">="


@dataclass(frozen=True, slots=True)
class Term:
    """The attribute has the value with this key, or, negated, it has not.

    Attributes:
        key: ``None``: any value.
    """

    name: str
    key: str | None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Ranged:
    """The attribute has a value of the same type (number or text) below or above this key."""

    name: str
    sign: Sign
    key: str


@dataclass(frozen=True, slots=True)
class Like:
    """A text of the attribute fits the pattern: ``*`` stands for any characters, ``?`` for one."""

    name: str
    pattern: str


class Own(StrEnum):
    """What every device has besides its attributes."""

    NAME = "name"
    DIALECT = "dialect"


@dataclass(frozen=True, slots=True)
class Named:
    """The device's own name or dialect is this word, or fits this pattern."""

    which: Own
    word: str
    pattern: bool = False


@dataclass(frozen=True, slots=True)
class Firmware:
    """The version that the device reported, by its key (``mooring.store.version_key``).

    Attributes:
        key: ``None``: any version.
    """

    sign: Sign
    key: str | None


@dataclass(frozen=True, slots=True)
class InGroup:
    """The device is a member of a static group; ``None``: of any."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Presence:
    """The device is in this state."""

    state: str


@dataclass(frozen=True, slots=True)
class Enabled:
    """The device may connect."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The device has a session, by the broker's own word."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """The text, in lower case, occurs in what the device is called by: name, label, MAC address,
    username or network address."""

    text: str


@dataclass(frozen=True, slots=True)
class SilentFor:
    """The newest message is older than this, in milliseconds; without any, the device itself."""

    ms: int


class Problem(StrEnum):
    """What may be wrong with a device."""

    ALERT = "alert"  # an alert is open
    LOGIN = "login"  # not connected, and its last login was rejected
    DENIED = "denied"  # the broker rejected its last publish or subscribe
    DEAD_LETTER = "dead_letter"  # a message of the last day was not stored
    MISSING = "missing"  # messages that it numbered have not arrived
    ROTATION = "rotation"  # a new password is not in use after ten minutes
    CERTIFICATE = "certificate"  # its last certificate ends within 14 days, or has ended
    SETTINGS = "settings"  # it refuses its settings
    SILENT = "silent"  # it sends nothing although it should, or comes and goes


@dataclass(frozen=True, slots=True)
class HasProblem:
    """The device has this problem; ``None``: any."""

    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Both:
    """All of them hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of them holds."""

    parts: tuple[Condition, ...]


Condition = (
    Term
    | Ranged
    | Like
    | Named
    | Firmware
    | InGroup
    | Presence
    | Enabled
    | Connected
    | Mentions
    | SilentFor
    | HasProblem
    | Not
    | Both
    | Either
)


def flat(condition: Condition) -> tuple[Condition, ...]:
    """Conditions that must all hold."""
    return condition.parts if isinstance(condition, Both) else (condition,)


def groups_of(condition: Condition) -> set[str]:
    """Groups that a condition names."""
    match condition:
        case InGroup(str(name)):
            return {name}
        case Not(part):
            return groups_of(part)
        case Both(parts) | Either(parts):
            return set().union(*map(groups_of, parts))
    return set()
