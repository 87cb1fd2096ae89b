"""Permissions to publish through the platform. Pure; the owners are given.

A device's rights come from its dialect; a person's come from here:

- nobody publishes to the broker's own topics (``$…``);
- who sees every tenant publishes anywhere as an administrator, and to declared channels that
  run down to devices as an operator;
- who belongs to a tenant publishes to topics of its own devices alone, as an operator only
  to those that run down. A topic that another tenant's device could read is rejected.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mooring.dialects import Attribute, Channel, Dialect, Direction, Kind, Match
from mooring.dialects.sendable import check_topic
from mooring.dialects.topics import filters_overlap
from mooring.errors import Forbidden, Invalid
from mooring.identity.actor import Actor, Role
from mooring.stream.model import KINDS

__all__ = ["Addressed", "check_publish", "check_retain", "stream_request"]


def stream_request(dialects: Sequence[Dialect], topic: str) -> dict[str, object] | None:
    """What to send on the live stream to get what devices publish to the topics of a filter;
    ``None``: no device publishes there what the stream carries.

    Args:
        topic: a valid topic filter.
    """
    devices: set[str] = set()
    kinds: set[str] = set()
    every = False
    for dialect in dialects:
        for channel in dialect.ups():
            if channel.kind not in KINDS or not filters_overlap(channel.filter, topic):
                continue
            kinds.add(str(channel.kind))
            named = _named(channel, topic)
            every = every or named is None
            devices |= {named} if named is not None else set()
    if not kinds:
        return None
    which = {} if every else {"devices": sorted(devices)}
    return {"subscribe": {"id": "1", **which, "kinds": sorted(kinds)}}


def _named(channel: Channel, topic: str) -> str | None:
    """The device that a filter names in a channel; ``None``: several."""
    found: dict[Attribute, str] = {}
    for level, given in zip(channel.topic.split("/"), topic.split("/"), strict=False):
        if given == "#":
            break
        if level.startswith("{") and given != "+":
            found[channel.placeholders[level[1:-1]]] = given
    name = found.get(Attribute.DEVICE) or found.get(Attribute.MAC)
    tenant = found.get(Attribute.TENANT)
    return f"{tenant}:{name}" if name is not None and tenant is not None else name


_OWNING = {Attribute.DEVICE, Attribute.MAC, Attribute.TENANT}


@dataclass(frozen=True, slots=True)
class Addressed:
    """One reading of a topic, and the tenants whose devices use it that way."""

    match: Match
    tenants: Collection[str]


def check_publish(actor: Actor, topic: str, addressed: Sequence[Addressed]) -> None:
    """Rejects what the actor may not send.

    Args:
        addressed: every reading of the topic by the dialects there are.

    Raises:
        Invalid: it is not a topic to publish to.
        Forbidden: the role is too low, or the topic is not the actor's.
    """
    check_topic(topic)
    actor.require(Role.OPERATOR, actor.tenant)
    if actor.tenant is not None and not _owned(actor.tenant, addressed):
        raise Forbidden(
            f"{topic[:100]!a} is not a topic of a device of {actor.tenant}.",
            hint="GET /api/v1/devices/DEVICE/topics lists a device's topics.",
            code="topic_not_yours",
        )
    if actor.role < Role.ADMIN and not _runs_down(addressed):
        raise Forbidden(
            f"{topic[:100]!a} is not a topic that devices receive.",
            hint="An administrator can publish to any topic.",
            code="topic_not_down",
        )


_COMMANDS = frozenset({Kind.COMMAND, Kind.FLEET_COMMAND, Kind.CANCEL})


def check_retain(topic: str, addressed: Sequence[Addressed]) -> None:
    """Rejects a command that the broker would keep: every device that subscribes later would
    carry it out, each time it connects.

    Raises:
        Invalid: ``retain_on_command``.
    """
    if any(one.match.channel.kind in _COMMANDS for one in addressed):
        raise Invalid(
            f"{topic[:100]!a} is a topic for commands, which are never retained.",
            hint="Publish it without retain, or use a command: it waits for its device.",
            code="retain_on_command",
        )


def _owned(tenant: str, addressed: Sequence[Addressed]) -> bool:
    for one in addressed:
        # A topic without a device or tenant in it is everybody's, also tomorrow's tenants'.
        if one.match.channel.operator_only or not _OWNING & one.match.values.keys():
            return False
    return {owner for one in addressed for owner in one.tenants} == {tenant}


def _runs_down(addressed: Sequence[Addressed]) -> bool:
    used = [one for one in addressed if one.tenants] or addressed
    return bool(used) and all(one.match.channel.direction is Direction.DOWN for one in used)
