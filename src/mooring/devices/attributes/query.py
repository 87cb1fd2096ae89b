"""What a list of devices may be narrowed and sorted by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mooring.devices.attributes.keys import UNSORTED
from mooring.devices.attributes.language import TERMS_MAX, parse, too_many
from mooring.devices.attributes.rules import check_name
from mooring.devices.attributes.terms import Both, Condition, Either, Not, Term, flat
from mooring.errors import Invalid

__all__ = ["TERMS_MAX", "Order", "Term", "order", "terms"]

_SPACED = re.compile(r"\s*([A-Za-z][A-Za-z0-9_.-]*)\s*(!?=)\s*([^=<>~()\"']+?)\s*")
"""A condition with a value of several words without quotes."""
_KEYWORD = re.compile(r"\b(and|or|not|in)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """By which attribute a list is sorted; devices without it come last."""

    name: str
    descending: bool = False


def terms(words: Iterable[str]) -> tuple[Condition, ...]:
    """Conditions that must all hold: ``type=esp32``, ``tag!=old``, ``room=*`` for any value, or
    whole queries (``mooring.devices.attributes.language``).

    Values are compared without regard to case.

    Raises:
        Invalid: ``invalid_search``: a word has another form, or there are too many conditions.
    """
    found = tuple(part for one in words for part in flat(_parsed(one)))
    number = sum(map(_size, found))
    if number > TERMS_MAX:
        raise too_many(number)
    return found


def order(text: str) -> Order:
    """``type``, or ``-type`` for the reverse order.

    Raises:
        Invalid: ``invalid_search``: the attribute has no order. ``invalid_attribute``: the name.
    """
    name = text.removeprefix("-")
    if name == "tag":
        name = "tags"
    check_name(name)
    if name in UNSORTED:
        raise Invalid(
            f"Devices cannot be searched or sorted by {name}.",
            hint=f"{name}=* finds those that have it.",
            code="invalid_search",
        )
    return Order(name, descending=text.startswith("-"))


def _parsed(text: str) -> Condition:
    try:
        return parse(text)
    except Invalid:
        spaced = _SPACED.fullmatch(text)
        if spaced is None or _KEYWORD.search(spaced[3]):
            raise
        # One condition as a shell passes it: room=Living room.
        value = spaced[3].replace("\\", "\\\\")
        return parse(f'{spaced[1]}{spaced[2]}"{value}"')


def _size(condition: Condition) -> int:
    match condition:
        case Both(parts) | Either(parts):
            return sum(map(_size, parts))
        case Not(part):
            return _size(part)
    return 1
