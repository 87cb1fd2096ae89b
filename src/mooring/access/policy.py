"""Least rights: what one device may publish and subscribe to, from its dialect alone."""

from __future__ import annotations

from mooring.broker.protocol import Rights
from mooring.dialects.model import Dialect, Direction, Identity

__all__ = ["rights_of"]


def rights_of(dialect: Dialect, identity: Identity) -> Rights:
    """The literal topics of one device; a filter only where a level is a free word.

    A channel that needs something the device lacks (a MAC address, a group) grants nothing.
    """
    publish: list[str] = []
    subscribe: list[str] = []
    for channel in dialect.channels:
        target = publish if channel.direction is Direction.UP else subscribe
        target.extend(topic for topic in channel.addresses(identity) if topic not in target)
    return Rights(tuple(publish), tuple(subscribe))
