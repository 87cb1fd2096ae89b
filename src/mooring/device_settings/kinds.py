"""What of a device's attributes decides about its settings.

A type that only the device itself reports does not count: a device must not choose for itself
which settings, and which secrets in them, it gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.engine import Connection

from mooring.devices.attributes import store as attributes
from mooring.devices.attributes.model import Source

__all__ = ["NOTHING", "Facts", "facts_of"]


_OWN_WORD = frozenset({Source.DEVICE, Source.REGISTRATION})


class Facts(NamedTuple):
    """``kind``: the device's type, empty if it has none; ``max_packet``: bytes of the largest
    packet that it accepts, 0 if that is known of its dialect alone."""

    kind: str = ""
    max_packet: int = 0


NOTHING = Facts()


def facts_of(connection: Connection, numbers: Sequence[int]) -> dict[int, Facts]:
    """Device → its facts, for those that have any."""
    found: dict[int, Facts] = {}
    for number, held in attributes.of_devices(connection, numbers).items():
        kind, packet = held.get("type"), held.get("max_packet")
        found[number] = Facts(
            str(kind.value) if kind is not None and kind.source not in _OWN_WORD else "",
            int(str(packet.value)) if packet is not None else 0,
        )
    return found
