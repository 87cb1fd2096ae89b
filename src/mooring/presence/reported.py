"""Attributes that a device reports of itself, in its registration and its status messages; a
registration is answered.

Other channels are not looked at: telemetry costs nothing. What a report says counts less than what
people said (``mooring.devices.attributes.merge``); a value that is not valid is left out and
counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.engine import Connection

from mooring.devices.attributes import store
from mooring.devices.attributes.merge import Room, merge
from mooring.devices.attributes.model import NAMED, Held, Source, Value
from mooring.devices.attributes.rules import checked
from mooring.dialects import meaning
from mooring.dialects.model import Channel, Kind
from mooring.dialects.outgoing import compose
from mooring.dialects.payload import PayloadLimits, look_up
from mooring.errors import Invalid
from mooring.ingest.facts import Fact, Standing
from mooring.ingest.projection import ALWAYS, NEVER, Effect, Keys, Sees
from mooring.store.tally import add_to_counter

__all__ = ["REFUSED", "ReportedAttributes"]

REFUSED = "attributes_refused"
"""Counter: reported values that were not valid or for which no room was left."""

_CALLED: Mapping[str, tuple[str, ...]] = {
    "type": ("device_type", "deviceType"),
    "hardware": ("hardware", "hardware_version", "hardwareVersion", "board"),
    "tags": ("tags",),
    "timezone": ("timezone", "time_zone", "timeZone"),
    "position": ("position", "location"),
    "max_packet": ("max_packet", "maxPacket"),
}
"""How firmware calls the named attributes. ``type`` alone is often the type of the message, so it
counts only inside an object of metadata."""

_NAMES = frozenset(name for names in _CALLED.values() for name in names)


class Report(NamedTuple):
    """What one message says. ``values`` are checked; ``refused`` of them were not valid;
    ``answer`` is what the device is waiting for."""

    device: int
    at: int
    source: Source
    values: dict[str, Value]
    refused: int
    answer: Effect | None


class ReportedAttributes:
    """Merges what devices report of themselves into their attributes.

    Args:
        limits: how many values of a payload count.
        room: how many free attributes a device may have.
    """

    name = "attributes"
    sees = Sees.RECEIVED

    def __init__(self, limits: PayloadLimits, room: Room) -> None:
        self._limits, self._room = limits, room

    def wants(self, channel: Channel) -> Keys:
        path = channel.payload.metadata
        if path is None or channel.kind not in (Kind.REGISTER, Kind.STATUS):
            return NEVER
        if channel.kind is Kind.REGISTER:
            return ALWAYS
        return frozenset(path[:1]) if path else _NAMES

    def plan(self, facts: Sequence[Fact]) -> list[Report] | None:
        reports = [report for fact in facts if (report := self._report(fact)) is not None]
        return reports or None

    def _report(self, fact: Fact) -> Report | None:
        shape = fact.channel.payload
        about = look_up(fact.body, shape.metadata or ())
        registers = fact.kind is Kind.REGISTER
        answer = _answer(fact) if registers and fact.standing is Standing.LIVE else None
        if not isinstance(about, dict):
            about = {}
        said: dict[str, object] = {}
        for name, words in _CALLED.items():
            known = (*words, "type") if name == "type" and shape.metadata else words
            found = next((about[word] for word in known if about.get(word) is not None), None)
            if found is not None:
                said[name] = found
        if registers:
            named = {*_NAMES, "type"} if shape.metadata else _NAMES
            others = meaning.metadata(shape, fact.body, self._limits)
            said |= {
                name: value
                for name, value in others.items()
                if name.partition(".")[0] not in named and name not in NAMED
            }
        values: dict[str, Value] = {}
        refused = 0
        for name, value in said.items():
            try:
                values[name] = checked(name, value)
            except Invalid:  # it costs that value; the device is not told, so it is counted
                refused += 1
        if not values and not refused and answer is None:
            return None
        source = Source.REGISTRATION if registers else Source.DEVICE
        return Report(fact.device.id, fact.received_at, source, values, refused, answer)

    def apply(self, connection: Connection, rows: list[Report]) -> Sequence[Effect]:
        refused = sum(report.refused for report in rows)
        tenants = store.lock(connection, sorted({report.device for report in rows}))
        before = store.of_devices(connection, tenants)
        after: dict[int, Mapping[str, Held]] = {n: before.get(n, {}) for n in tenants}
        names: dict[int, dict[str, None]] = {number: {} for number in tenants}
        for report in rows:
            if report.device not in tenants:  # removed meanwhile
                continue
            merged = merge(
                after[report.device], report.values, report.source, report.at, room=self._room
            )
            after[report.device] = merged.held
            names[report.device] |= dict.fromkeys(merged.changed)
            refused += len(merged.beyond)
        changes = [
            store.Change(number, tenant, tuple(names[number]), after[number])
            for number, tenant in sorted(tenants.items())
            if names[number]
        ]
        if changes:
            store.write(connection, changes)
        if refused:
            add_to_counter(connection, REFUSED, refused)
        answers = {one.answer.topic: one.answer for one in rows if one.answer is not None}
        return list(answers.values())


def _answer(fact: Fact) -> Effect | None:
    """That the platform knows the device, where its dialect has a channel for it."""
    channel = next(iter(fact.device.dialect.of_kind(Kind.REGISTER_RESPONSE)), None)
    topic = fact.device.down_topic(Kind.REGISTER_RESPONSE)
    if channel is None or topic is None:
        return None
    said = {"status": "registered"}
    payload = compose(channel.payload, said, time_ms=fact.received_at, device=fact.device.name)
    return Effect(topic, payload)
