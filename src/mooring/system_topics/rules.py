"""Which channels of a dialect speak of the platform, and what is published there. Pure.

A topic that names no tenant is the same for all of them, so it carries figures of the whole
installation: no device may read it (``operator_only``). A topic that names a tenant carries figures
of that tenant and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from mooring.dialects.model import Attribute, Channel, Dialect, Identity, Kind
from mooring.dialects.outgoing import compose
from mooring.telemetry.problems import Problem

__all__ = [
    "SYS_FILTERS",
    "AlertChange",
    "Alerts",
    "Counts",
    "GroupCounts",
    "Message",
    "Subject",
    "alert",
    "broker_figures",
    "channels_of",
    "fleet_status",
    "subject_of",
    "system_message",
]

_SYS = "$SYS/broker/"
SYS_FILTERS = tuple(
    _SYS + word
    for word in (
        "version",
        "uptime",
        "messages/received",
        "messages/sent",
        "bytes/received",
        "bytes/sent",
    )
)


class Subject(StrEnum):
    """What a channel speaks of."""

    HEALTH = "health"
    METRICS = "metrics"
    ALERTS = "alerts"
    BROKER = "broker"
    CLIENTS = "clients"
    TRAFFIC = "traffic"
    FLEET = "fleet"


_OF_KIND = {
    Kind.SYSTEM: (Subject.HEALTH, Subject.METRICS, Subject.ALERTS),
    Kind.MONITORING: (Subject.BROKER, Subject.CLIENTS, Subject.TRAFFIC),
}
_OF_TENANT = frozenset({Subject.METRICS, Subject.CLIENTS})
"""What is said to a tenant: figures of its own devices."""


class Counts(NamedTuple):
    """Devices of one dialect and tenant, or all together."""

    devices: int = 0
    online: int = 0
    connected: int = 0


class GroupCounts(NamedTuple):
    """Members of a group that speak one dialect."""

    tenant: str
    group: str
    devices: int
    online: int


class Message(NamedTuple):
    """What is to be published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


def subject_of(channel: Channel) -> Subject | None:
    """What a channel speaks of, from its kind and the last level of its topic; ``None``: nothing
    that the platform publishes, or a topic with placeholders that it cannot fill."""
    placed = set(channel.placeholders.values())
    if channel.kind is Kind.FLEET_STATUS:
        fits = Attribute.GROUP in placed and placed <= {Attribute.GROUP, Attribute.TENANT}
        return Subject.FLEET if fits else None
    if not placed <= {Attribute.TENANT} or not channel.operator_only:
        return None
    last = channel.topic.rpartition("/")[2]
    return next((one for one in _OF_KIND.get(channel.kind, ()) if one == last), None)


def channels_of(dialect: Dialect) -> list[tuple[Subject, Channel]]:
    """The channels of a dialect on which the platform speaks of itself."""
    found = ((subject_of(channel), channel) for channel in dialect.downs())
    return [(subject, channel) for subject, channel in found if subject is not None]


def system_message(
    subject: Subject,
    channel: Channel,
    tenant: str | None,
    values: Mapping[str, Any],
    at: int,
) -> Message | None:
    """A message about the installation (``tenant`` is ``None``) or a tenant; ``None`` where the
    channel is for the other, or a tenant is not told.

    Args:
        values: for a tenant, its own figures alone.
    """
    names_tenant = Attribute.TENANT in channel.placeholders.values()
    if names_tenant != (tenant is not None) or (names_tenant and subject not in _OF_TENANT):
        return None
    topic = channel.address(Identity(tenant or "", ""))
    if topic is None:
        return None
    payload = compose(channel.payload, values, time_ms=at)
    return Message(topic, payload, channel.qos, channel.retain)


def fleet_status(
    channel: Channel, counts: Sequence[GroupCounts], most: int
) -> tuple[dict[str, dict[str, int]], int]:
    """Topic → figures of each group, and the number of groups beyond ``most``.

    Where topics name no tenant, groups of one name are one topic. It is published if no device may
    read it, or all members belong to one tenant.
    """
    tenants: dict[str, set[str]] = {}
    found: dict[str, dict[str, int]] = {}
    for one in sorted(counts):
        topic = channel.address(Identity(one.tenant, ""), group=one.group)
        if topic is None:
            continue
        tenants.setdefault(topic, set()).add(one.tenant)
        figures = found.setdefault(topic, {"devices": 0, "online": 0})
        figures["devices"] += one.devices
        figures["online"] += one.online
    if not channel.operator_only:
        found = {topic: figures for topic, figures in found.items() if len(tenants[topic]) == 1}
    kept = dict(list(found.items())[:most])
    return kept, len(found) - len(kept)


def broker_figures(said: Mapping[str, bytes]) -> dict[Subject, dict[str, Any]]:
    """What the broker reports of itself on ``SYS_FILTERS``; what it does not report is left out."""
    texts = {
        topic.removeprefix(_SYS): value.decode(errors="replace") for topic, value in said.items()
    }
    broker: dict[str, Any] = {}
    version = re.search(r"\d[\w.+-]{0,30}", texts.get("version", ""))
    if version is not None:
        broker["version"] = version[0]
    uptime = _number(texts.get("uptime", ""))
    if uptime is not None:
        broker["uptime"] = uptime
    names = {
        "messages/received": "received",
        "messages/sent": "sent",
        "bytes/received": "bytes_received",
        "bytes/sent": "bytes_sent",
    }
    traffic = {
        name: number
        for word, name in names.items()
        if (number := _number(texts.get(word, ""))) is not None
    }
    return {Subject.BROKER: broker, Subject.TRAFFIC: traffic}


def _number(text: str) -> int | None:
    found = re.match(r"\d{1,18}", text)
    return int(found[0]) if found else None


class AlertChange(NamedTuple):
    """A problem that began or ended."""

    problem: Problem
    active: bool


@dataclass(slots=True)
class _Seen:
    problem: Problem
    looks: int  # in a row that agree with the newest
    there: bool
    told: bool


class Alerts:
    """Remembers which problems were published. One counts as begun, and as ended, when two looks in
    a row show it: processes start one after another."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}

    def look(self, problems: Iterable[Problem]) -> list[AlertChange]:
        """What has begun or ended."""
        now = {(one.code, one.subject): one for one in problems}
        changes = []
        for key in list(dict.fromkeys((*self._seen, *now))):
            there = key in now
            seen = self._seen.setdefault(key, _Seen(now.get(key, _NONE), 0, there, told=False))
            seen.problem = now.get(key, seen.problem)
            seen.looks = seen.looks + 1 if seen.there == there else 1
            seen.there = there
            if seen.looks >= 2 and seen.told != there:
                seen.told = there
                changes.append(AlertChange(seen.problem, there))
            if not there and not seen.told:
                del self._seen[key]
        return changes


_NONE = Problem("", "", "")


def alert(channel: Channel, change: AlertChange, at: int) -> Message | None:
    """The message about a change; ``None`` for a channel of a tenant."""
    topic = channel.address(Identity("", ""))
    if topic is None:
        return None
    problem = change.problem
    values = {
        "severity": "warning",
        "active": change.active,
        "subject": problem.subject,
        "detail": problem.text[:500],
    }
    payload = compose(channel.payload, values, time_ms=at, name=problem.code)
    return Message(topic, payload, max(1, channel.qos), False)
