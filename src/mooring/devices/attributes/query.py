"""What a list of devices may be narrowed and sorted by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mooring.devices.attributes.keys import UNSORTED
from mooring.devices.attributes.language import TERMS_MAX, parse, too_many
from mooring.devices.attributes.rules import check_name
from mooring.devices.attributes.terms import Both, Condition, Either, Not, Term, flat
from mooring.errors import Invalid

__all__ = [
    "OWN_ORDERS",
    "TERMS_MAX",
    "Found",
    "Order",
    "Place",
    "Term",
    "normal",
    "order",
    "quoted",
    "terms",
]

OWN_ORDERS = ("added", "name", "dialect", "firmware", "presence", "last_seen_at")
"""What a list is sorted by besides attributes. By ``presence``: what needs attention first."""

_SPACED = re.compile(r"\s*([A-Za-z][A-Za-z0-9_.-]*)\s*(!?=)\s*([^=<>~()\"']+?)\s*")
"""A condition with a value of several words without quotes."""
_KEYWORD = re.compile(r"\b(and|or|not|in)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """By what a list is sorted: one of ``OWN_ORDERS``, or an attribute. Devices without it come
    last."""

    name: str
    descending: bool = False

    @property
    def own(self) -> bool:
        return self.name in OWN_ORDERS


class Place(NamedTuple):
    """Where a page ended.

    Attributes:
        key: of what the list is sorted by; ``None``: the device has none, or there is no order.
    """

    key: str | None
    number: int


class Found(NamedTuple):
    """A device in a list, and its key."""

    number: int
    key: str | None


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
    """``type``, or ``-type`` for the reverse order. No attribute has a name of ``OWN_ORDERS``.

    Raises:
        Invalid: ``invalid_search``: the attribute has no order. ``invalid_attribute``: the name.
    """
    name = text.removeprefix("-")
    if name in OWN_ORDERS:
        return Order(name, descending=text.startswith("-"))
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


def quoted(value: str) -> str:
    """A value as it is written in a query."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def normal(text: str) -> str:
    """A condition or query as it is written within a longer query.

    Raises:
        Invalid: ``invalid_search``: it is not valid.
    """
    try:
        parse(text)
    except Invalid:
        spaced = _SPACED.fullmatch(text)
        if spaced is None or _KEYWORD.search(spaced[3]):
            raise
        # One condition as a shell passes it: room=Living room.
        return f"{spaced[1]}{spaced[2]}{quoted(spaced[3])}"
    return text


def _parsed(text: str) -> Condition:
    return parse(normal(text))


def _size(condition: Condition) -> int:
    match condition:
        case Both(parts) | Either(parts):
            return sum(map(_size, parts))
        case Not(part):
            return _size(part)
    return 1
