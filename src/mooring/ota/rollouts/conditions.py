"""Which devices meet a rollout's condition, over attributes and over what devices report. Pure.

A name is that of the device's attribute where it has one, and otherwise that of the newest value
that the device has reported under it. What is not known of a device meets no condition on it, and
meets the negation of each.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from mooring.devices.attributes.keys import key_of
from mooring.devices.attributes.terms import (
    Both,
    Condition,
    Either,
    Like,
    Not,
    Ranged,
    Sign,
    Term,
)

__all__ = ["Leaf", "evaluate", "in_words", "meets", "names", "newest"]

Scalar = str | int | float | bool
Leaf = Term | Ranged | Like
"""Conditions on a name."""

_COMPARED: Mapping[Sign, Callable[[str, str], bool]] = {
    Sign.EQUAL: operator.eq,
    Sign.BELOW: operator.lt,
    Sign.UPTO: operator.le,
    Sign.ABOVE: operator.gt,
    Sign.FROM: operator.ge,
}

VALUE_CHARACTERS = 60  # of a value in words


def names(conditions: Sequence[Condition]) -> list[str]:
    """Names that conditions compare, each once, in their order."""
    found: dict[str, None] = {}
    for one in conditions:
        match one:
            case Both(parts) | Either(parts):
                found |= dict.fromkeys(names(parts))
            case Not(part):
                found |= dict.fromkeys(names([part]))
            case Term(name) | Ranged(name) | Like(name):
                found[name] = None
    return list(found)


def evaluate(
    conditions: Sequence[Condition],
    everyone: Collection[int],
    of: Callable[[Condition], Collection[int]],
) -> set[int]:
    """Devices that meet all conditions.

    Args:
        everyone: devices that are asked for.
        of: those of them that meet one that has no parts.
    """
    found = set(everyone)
    for one in conditions:
        match one:
            case Both(parts):
                found &= evaluate(parts, everyone, of)
            case Either(parts):
                found &= {n for part in parts for n in evaluate([part], everyone, of)}
            case Not(part):
                found -= evaluate([part], everyone, of)
            case Term(name, key, negated=True):
                found -= set(of(Term(name, key)))
            case _:
                found &= set(of(one))
    return found


def meets(leaf: Leaf, value: Scalar) -> bool:
    """Whether a reported value meets a condition, compared as an attribute would be."""
    key = key_of(value)
    match leaf:
        case Term(_, wanted, negated):
            return (wanted is None or wanted == key) is not negated
        case Like(_, pattern):
            return fnmatchcase(key, "t" + pattern.lower().replace("[", "[[]"))
        case Ranged(_, sign, limit):
            # A number is not compared with a text.
            return key[:1] == limit[:1] and _COMPARED[sign](key, limit)


def newest(
    wanted: Collection[str], reported: Sequence[tuple[int, Mapping[str, Scalar]]]
) -> dict[str, Scalar]:
    """The newest value of each of these names.

    A name fits the whole name of a value or what follows its last dot, without regard to case;
    the whole name first.

    Args:
        reported: times, and the values of that time.
    """
    found: dict[str, Scalar] = {}
    by_name = {one.lower(): one for one in wanted}
    best: dict[str, tuple[bool, int]] = {}
    for at, values in reported:
        for name, value in values.items():
            whole = name.lower()
            for text, exact in ((whole, True), (whole.rpartition(".")[2], False)):
                mine = by_name.get(text)
                if mine is not None and (mine not in best or (exact, at) >= best[mine]):
                    best[mine] = (exact, at)
                    found[mine] = value
    return found


def in_words(condition: str, seen: Mapping[str, Scalar | None]) -> str:
    """Why a device does not meet a condition, with the values that were seen."""
    values = ", ".join(
        f"{name} is {'not known' if value is None else str(value)[:VALUE_CHARACTERS]}"
        for name, value in seen.items()
    )
    return (
        f"It does not meet {condition}: {values}." if values else f"It does not meet {condition}."
    )
