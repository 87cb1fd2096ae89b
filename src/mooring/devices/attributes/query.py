"""What a list of devices may be narrowed and sorted by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mooring.devices.attributes.keys import UNSORTED, key_of
from mooring.devices.attributes.rules import check_name
from mooring.errors import Invalid

__all__ = ["TERMS_MAX", "Order", "Term", "order", "terms"]

TERMS_MAX = 16
"""Conditions of one question."""

_TERM = re.compile(r"([^=!]+?)(!?=)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Term:
    """A condition: the attribute has the value with this key, or, negated, it has not.

    Attributes:
        key: ``None``: any value.
    """

    name: str
    key: str | None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """By which attribute a list is sorted; devices without it come last."""

    name: str
    descending: bool = False


def terms(words: Iterable[str]) -> tuple[Term, ...]:
    """Conditions as people write them: ``type=esp32``, ``tag!=old``, ``room=*`` for any value.

    Values are compared without regard to case.

    Raises:
        Invalid: ``invalid_search``: a word has another form, or there are too many.
    """
    found = tuple(_term(one) for one in words)
    if len(found) > TERMS_MAX:
        raise Invalid(
            f"The search has {len(found)} conditions; {TERMS_MAX} are allowed.",
            hint="Use fewer.",
            code="invalid_search",
        )
    return found


def order(text: str) -> Order:
    """``type``, or ``-type`` for the reverse order.

    Raises:
        Invalid: ``invalid_search``: the attribute has no order. ``invalid_attribute``: the name.
    """
    name = _name(text.removeprefix("-"))
    if name in UNSORTED:
        raise _no_order(name)
    return Order(name, descending=text.startswith("-"))


def _term(text: str) -> Term:
    match = _TERM.fullmatch(text)
    if match is None or not match[3].strip():
        raise Invalid(
            f"{text[:100]!a} is not a valid condition.",
            hint="Use NAME=VALUE, NAME!=VALUE, or NAME=* for any value.",
            code="invalid_search",
        )
    name, value = _name(match[1].strip()), match[3].strip()
    negated = match[2] == "!="
    if value == "*":
        return Term(name, None, negated)
    if name in UNSORTED:
        raise _no_order(name)
    return Term(name, key_of(value), negated)


def _name(text: str) -> str:
    if text == "tag":
        return "tags"
    check_name(text)
    return text


def _no_order(name: str) -> Invalid:
    return Invalid(
        f"Devices cannot be searched or sorted by {name}.",
        hint=f"{name}=* finds those that have it.",
        code="invalid_search",
    )
