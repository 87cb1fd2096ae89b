"""The text by which a value is compared and sorted, in the database. Pure.

Numbers come before texts, in the order of their values; texts without regard to case. A text that
is written as a number or as ``true`` or ``false`` is compared as that, because people who search
write no types.
"""

from __future__ import annotations

import struct

from mooring.devices.attributes.model import Value
from mooring.devices.attributes.words import word

__all__ = ["UNSORTED", "key_of", "keys_of"]

UNSORTED = frozenset({"position"})
"""Attributes that have no order and are not searched for."""

_SIGN = 1 << 63


def keys_of(name: str, value: Value) -> list[str]:
    """One key for each row of the value."""
    if name in UNSORTED:
        return [""]
    if isinstance(value, tuple):
        return [key_of(one) for one in value]
    return [key_of(value)]


def key_of(value: str | int | float | bool) -> str:
    """The key of one scalar."""
    if isinstance(value, str):
        value = word(value)
    if isinstance(value, bool):
        return "b1" if value else "b0"
    if isinstance(value, int | float):
        # The bits of a double sort as its value does, once those of negative ones are inverted.
        (bits,) = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))
        return f"n{bits ^ _SIGN if bits < _SIGN else bits ^ (2 * _SIGN - 1):016x}"
    return "t" + value.lower()[:256]
