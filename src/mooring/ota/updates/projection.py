"""Updates from messages: progress, and the versions that devices name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.dialects.model import Channel, Kind, Path
from mooring.ingest.facts import Fact, Standing
from mooring.ingest.projection import ALWAYS, NEVER, Effect, Keys, Repeating, Sees
from mooring.ota.updates import evidence, reports, rules, store
from mooring.ota.updates.model import Kind as Of
from mooring.ota.updates.model import Update
from mooring.ota.updates.moving import record
from mooring.ota.updates.reports import Heard
from mooring.ota.updates.waits import Waits

__all__ = ["FirmwareProgress", "FirmwareVersions", "Named", "Progress"]


class Progress(NamedTuple):
    """A device reports of an update."""

    device: int
    heard: Heard


class Named(NamedTuple):
    """A message names a version.

    Attributes:
        ts: the message's time: the device's own, or that of arrival.
        at: when it arrived.
    """

    device: int
    kind: Of
    version: str
    ts: int
    at: int


@dataclass
class _Changes:
    """Updates of a batch before and after what it says."""

    waits: Waits
    before: dict[int, Update] = field(default_factory=dict)
    after: dict[int, Update] = field(default_factory=dict)
    of_device: dict[int, list[int]] = field(default_factory=dict)

    def know(self, found: Sequence[store.Watched]) -> None:
        """What is known of the connection counts first: a message may be the first of a session
        that the update does not know yet."""
        for update, link in found:
            self.before[update.id] = self.after[update.id] = update
            self.of_device.setdefault(update.device_id, []).append(update.id)
            if link.connected is not None and link.since is not None:
                self.set(rules.linked(update, link.since, self.waits, connected=link.connected))

    def of(self, device: int) -> list[Update]:
        return [self.after[number] for number in self.of_device.get(device, ())]

    def set(self, update: Update | None) -> None:
        if update is not None:
            self.after[update.id] = update

    def done(self) -> list[tuple[Update, Update]]:
        return [
            (before, self.after[number])
            for number, before in sorted(self.before.items())
            if self.after[number] != before
        ]


class FirmwareProgress:
    """Moves updates on what devices report of them. A report that names no update is of the open
    one of its device."""

    name = "firmware progress"
    sees = Sees.STORED

    def __init__(self, waits: Waits | None = None) -> None:
        self._waits = waits or Waits()

    def wants(self, channel: Channel) -> Keys:
        return ALWAYS if channel.kind is Kind.FIRMWARE_PROGRESS else NEVER

    def plan(self, facts: Sequence[Fact]) -> list[Progress] | None:
        rows = []
        for fact in facts:
            if fact.standing is not Standing.LIVE:
                continue
            found = reports.heard(
                fact.channel, fact.body, own_time=fact.own_time, at=fact.received_at
            )
            if found is not None:
                rows.append(Progress(fact.device.id, found))
        return rows or None

    def apply(self, connection: Connection, rows: list[Progress]) -> Sequence[Effect]:
        changes = _Changes(self._waits)
        changes.know(store.watched(connection, {row.device for row in rows}))
        at = now_ms()
        for row in rows:
            update = _meant(row.heard, changes.of(row.device))
            if update is not None:
                changes.set(rules.report(update, row.heard.said, at, self._waits))
        record(connection, changes.done())
        return ()


def _meant(heard: Heard, updates: Sequence[Update]) -> Update | None:
    """Which of a device's updates a report is about."""
    some = [one for one in updates if not one.over]
    if heard.uid is not None and heard.uid.isdigit():
        return next((one for one in some if one.uid == heard.uid), None)
    if heard.kind is not None:
        some = [one for one in some if one.kind is heard.kind]
    if heard.version is not None:
        key = evidence.key_of(heard.version)
        some = [one for one in some if evidence.key_of(one.version) == key]
    return next((one for one in some if one.kind is Of.FIRMWARE), some[0] if some else None)


class FirmwareVersions:
    """Proves updates by the versions that devices name in their messages."""

    name = "firmware versions"
    sees = Sees.RECEIVED

    def __init__(self, waits: Waits | None = None) -> None:
        self._waits = waits or Waits()

    def wants(self, channel: Channel) -> Keys:
        shape = channel.payload
        paths: list[Path] = [*shape.firmware]
        about = shape.metadata
        if about is not None:
            if len(about) == 1 and all(path[:-1] == about for path in shape.firmware):
                return Repeating(about[0])
            paths += [(*about, name) for name in evidence.FILESYSTEM]
        return frozenset(path[0] for path in paths if path)

    def plan(self, facts: Sequence[Fact]) -> list[Named] | None:
        rows = []
        for fact in facts:
            if fact.standing is not Standing.LIVE:
                continue
            for kind, version in evidence.versions_of(fact.route.channel, fact.decoded.body):
                if version is not None:
                    rows.append(Named(fact.device.id, kind, version, fact.ts, fact.received_at))
        return rows or None

    def apply(self, connection: Connection, rows: list[Named]) -> Sequence[Effect]:
        if not store.any_watched(connection):  # mostly; devices name their version all day
            return ()
        changes = _Changes(self._waits)
        changes.know(store.watched(connection, {row.device for row in rows}))
        for row in rows:
            for update in changes.of(row.device):
                if update.kind is not row.kind:
                    continue
                seen = evidence.seen(update, row.version)
                changes.set(rules.named(update, seen, row.ts, row.at, self._waits))
        record(connection, changes.done())
        return ()
