"""Least rights: what one device may publish and subscribe to, from its dialect alone."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.dialects.model import Attribute, Channel, Dialect, Direction, Identity
from mooring.dialects.topics import filters_overlap
from mooring.identity.account import Pattern, Rights

__all__ = ["pattern_of", "rights_of"]

_OWNER = frozenset({Attribute.DEVICE, Attribute.MAC})
KNOWN_MOST = 256
_known: dict[tuple[int, bool], tuple[Dialect, Pattern]] = {}  # holds the dialect: see its id

DEVICE, TENANT, MAC = 3, 4, 5
"""The values of a pattern: after the username and the client id come these three."""


def rights_of(dialect: Dialect, identity: Identity) -> Rights:
    """What one device may do.

    It may publish to its literal topics; a filter is used only where a level is a free word. It
    may subscribe to everything below its own prefix, where every topic of the dialect belongs
    to the device: firmware subscribes to ``…/command/#`` as well as to one command. Elsewhere
    it may subscribe to its literal topics.

    A channel that needs something the device lacks (a MAC address, a group) grants nothing.
    """
    values = {DEVICE: identity.device, TENANT: identity.tenant, MAC: identity.mac or ""}
    if identity.groups or any("\n" in value for value in values.values()):
        return _worked_out(dialect, identity)
    pattern = pattern_of(dialect, with_mac=bool(identity.mac))
    return Rights(_filled(pattern.publish, values), _filled(pattern.subscribe, values))


def pattern_of(dialect: Dialect, *, with_mac: bool) -> Pattern:
    """What devices without groups may publish and subscribe to. Worked out once, not for
    100,000 devices."""
    key = (id(dialect), with_mac)
    known = _known.get(key)
    if known is None or known[0] is not dialect:
        mac = chr(MAC) if with_mac else None
        rights = _worked_out(dialect, Identity(chr(TENANT), chr(DEVICE), mac))
        texts = ("\n".join(sorted(rights.publish)), "\n".join(sorted(rights.subscribe)))
        known = (
            dialect,
            Pattern("\n".join(rights.publish), "\n".join(rights.subscribe), texts),
        )
        if len(_known) >= KNOWN_MOST:
            _known.clear()
        _known[key] = known
    return known[1]


def _filled(template: str, values: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(template.translate(values).split("\n"))) if template else ()


def _worked_out(dialect: Dialect, identity: Identity) -> Rights:
    publish: list[str] = []
    subscribe: list[str] = []
    for channel in dialect.channels:
        up = channel.direction is Direction.UP
        prefix = None if up else _own_prefix(dialect, channel)
        for topic in channel.addresses(identity):
            if prefix is not None:
                topic = "/".join([*topic.split("/")[:prefix], "#"])  # noqa: PLW2901 - the wider one
            target = publish if up else subscribe
            if topic not in target:
                target.append(topic)
    return Rights(tuple(publish), tuple(subscribe))


def _own_prefix(dialect: Dialect, channel: Channel) -> int | None:
    """After how many levels of the topic everything below belongs to the device alone."""
    levels = channel.topic.split("/")
    attributes = _attributes(channel)
    owners = [n for n, attribute in enumerate(attributes) if attribute in _OWNER]
    if not owners or Attribute.GROUP in attributes:
        return None
    tenants = [n for n, attribute in enumerate(attributes) if attribute is Attribute.TENANT]
    if dialect.tenanted and not tenants:
        return None
    first = max(owners[0], *tenants, 0) + 1
    for length in range(first, len(levels) + 1):
        if all(_same_owner(channel, other, length) for other in dialect.channels):
            return length
    return None


def _same_owner(channel: Channel, other: Channel, length: int) -> bool:
    """Whether the topics of ``other`` below a prefix of ``channel`` are the same device's."""
    prefix = channel.filter.split("/")[:length]
    if not filters_overlap("/".join([*prefix, "#"]), other.filter):
        return True
    if other.operator_only:
        return False
    mine, theirs = _attributes(channel)[:length], _attributes(other)
    return theirs[:length] == mine


def _attributes(channel: Channel) -> list[Attribute | None]:
    """What each level of the topic stands for; ``None`` for a literal one."""
    return [
        channel.placeholders.get(level[1:-1]) if level.startswith("{") else None
        for level in channel.topic.split("/")
    ]
