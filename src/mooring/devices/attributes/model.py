"""Attributes of a device, and who said them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["FOLLOWED", "MULTIPLE", "NAMED", "RANKS", "Held", "Source", "Value", "document"]

Value = str | int | float | bool | tuple[str, ...] | tuple[float, float]
"""``tags`` is a tuple of texts, ``position`` latitude and longitude in degrees; the others are
scalars."""

NAMED = ("type", "hardware", "tags", "timezone", "position", "max_packet")
"""Attributes with a meaning and a form of their own. Any other name is a free attribute."""

MULTIPLE = "tags"
"""The one with several values."""


FOLLOWED = frozenset({"type", "max_packet"})
"""Attributes that decide about what devices get: a change by people is a change of the device
(``mooring.devices.changes``)."""


class Source(StrEnum):
    """Who said it."""

    PERSON = "person"
    IMPORT = "import"  # a column of an imported table
    CLAIM = "claim code"
    REGISTRATION = "registration"  # the device's own, when it announced itself
    DEVICE = "device"  # in what it reports of itself


RANKS: Mapping[Source, int] = {
    Source.PERSON: 3,
    Source.IMPORT: 2,
    Source.CLAIM: 2,
    Source.REGISTRATION: 1,
    Source.DEVICE: 1,
}
"""A value is replaced by one of a source with the same rank or a higher one."""


@dataclass(frozen=True, slots=True)
class Held:
    """An attribute as it is stored.

    Attributes:
        actor: the person, or the code or the device that brought it.
        at: epoch milliseconds.
    """

    value: Value
    source: Source
    at: int
    actor: str = ""


def document(held: Mapping[str, Held]) -> dict[str, object]:
    """The values as JSON has them, sorted by name, the named ones first."""
    return {name: plain(name, held[name].value) for name in sorted(held, key=_place)}


def plain(name: str, value: Value) -> object:
    """One value as JSON has it."""
    if name == "position" and isinstance(value, tuple):
        return {"lat": value[0], "lon": value[1]}
    return list(value) if isinstance(value, tuple) else value


def _place(name: str) -> tuple[int, str]:
    return (NAMED.index(name) if name in NAMED else len(NAMED), name)
