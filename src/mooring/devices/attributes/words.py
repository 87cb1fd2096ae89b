"""Attributes as people write them on a command line or in a table. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from mooring.errors import Invalid

__all__ = ["Assigned", "assignments", "read", "word"]

_WORD = re.compile(r"([^=+-][^=]*?)([+-]?=)(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?")
_SEPARATORS = re.compile("[,;]")


@dataclass(slots=True)
class Assigned:
    """Values, unchecked, and tags to add and to remove."""

    values: dict[str, object] = field(default_factory=dict)
    add: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)


def assignments(words: Iterable[str]) -> Assigned:
    """``type=esp32``, ``tags=a,b``, ``tag+=c``, ``tag-=a``, ``position=52.5,13.4``.

    Raises:
        Invalid: ``invalid_attribute``: a word has another form, or a name is there twice.
    """
    found = Assigned()
    for one in words:
        match = _WORD.fullmatch(one)
        if match is None:
            raise _wrong(one)
        name, sign, text = match[1].strip(), match[2], match[3].strip()
        if sign != "=":
            if name not in ("tag", "tags"):
                raise _wrong(one)
            tags = [tag.strip() for tag in _SEPARATORS.split(text)]
            (found.add if sign == "+=" else found.remove).extend(tags)
            continue
        if name in found.values:
            raise Invalid(
                f"The attribute {name[:64]!a} is given twice.",
                hint="Give each attribute once.",
                code="invalid_attribute",
            )
        found.values[name] = read(name, text)
    return found


def read(name: str, text: str) -> object:
    """The value that a text means; ``mooring.devices.attributes.rules`` checks it."""
    match name:
        case "type" | "hardware" | "timezone":
            return text
        case "tags":
            return [tag for one in _SEPARATORS.split(text) if (tag := one.strip())]
        case "position":
            parts = [word(part.strip()) for part in _SEPARATORS.split(text)]
            return parts if len(parts) == 2 else text
    return word(text)


def word(text: str) -> str | int | float | bool:
    """A value as people write it: numbers and ``true``/``false`` are recognised."""
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text) is None:
        return text
    return float(text) if "." in text else int(text)


def _wrong(one: str) -> Invalid:
    return Invalid(
        f"{one[:100]!a} does not set an attribute.",
        hint="Use NAME=VALUE, tag+=TAG or tag-=TAG.",
        code="invalid_attribute",
    )
