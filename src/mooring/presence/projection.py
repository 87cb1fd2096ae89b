"""Device state from messages: when a device was last heard, and what it says of itself.

Telemetry pays one statement a batch, for ``LastSeen``. ``DeviceState`` reads and writes only
devices that said something of themselves in the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.dialects.meaning import firmware, metadata, online, online_text
from mooring.dialects.model import Channel, Kind, Path
from mooring.dialects.payload import PayloadLimits
from mooring.ingest.facts import Fact
from mooring.ingest.projection import ALWAYS, Effect, Keys, Repeating, Sees, of_kinds
from mooring.ingest.rows import own_time
from mooring.presence.firmware_store import VERSIONS_MAX, add_versions
from mooring.presence.state import Known, Said, advance
from mooring.store.schema import device_state
from mooring.store.upsert import Reading, Upsert
from mooring.store.version_key import version_key

__all__ = ["ABSENCES", "AnnouncedAbsence", "DeviceState", "LastSeen"]

ABSENCES = frozenset(("applying", "flashing", "installing", "rebooting", "restarting", "updating"))
"""Words of firmware for a step in which the device goes away."""

_SPEAKS_OF_PRESENCE = frozenset({Kind.STATUS, Kind.HEARTBEAT, Kind.ONLINE, Kind.OFFLINE})


class LastSeen:
    """When each device was last heard, whatever it said."""

    name = "last seen"
    sees = Sees.NEWEST

    def wants(self, channel: Channel) -> Keys:
        return ALWAYS

    def plan(self, facts: Sequence[Fact]) -> list[tuple[int, int]]:
        seen: dict[int, int] = {}
        for fact in facts:
            device, at = fact.route.device_id, fact.row[3]
            if seen.get(device, -1) < at:
                seen[device] = at
        return sorted(seen.items())

    def apply(self, connection: Connection, rows: list[tuple[int, int]]) -> Sequence[Effect]:
        _SET_SEEN.execute(connection, rows)
        return ()


class DeviceState:
    """Whether a device is there, its firmware version and its metadata, as it says itself.

    Args:
        limits: how many values of a payload count.
    """

    name = "device state"
    sees = Sees.RECEIVED

    def __init__(self, limits: PayloadLimits) -> None:
        self._limits = limits

    def wants(self, channel: Channel) -> Keys:
        if channel.kind in _SPEAKS_OF_PRESENCE or channel.payload.metadata == ():
            return ALWAYS
        paths: list[Path] = [*channel.payload.firmware]
        if channel.payload.metadata:
            paths.append(channel.payload.metadata)
        about = channel.payload.metadata
        if (
            about is not None
            and len(about) == 1
            and all(path[:-1] == about for path in channel.payload.firmware)
        ):
            return Repeating(about[0])
        return frozenset(path[0] for path in paths if path)

    def plan(self, facts: Sequence[Fact]) -> list[Said] | None:
        rows: list[Said] = []
        for fact in facts:
            route, row, body = fact.route, fact.row, fact.decoded.body
            shape = route.channel.payload
            there = _online(fact) if route.kind in _SPEAKS_OF_PRESENCE else None
            version = firmware(shape, body) if shape.firmware else None
            about = metadata(shape, body, self._limits) or None
            if not (there is None and version is None and about is None):
                rows.append(Said(row[0], row[3], own_time(row), there, version, about))
        return rows or None

    def apply(self, connection: Connection, rows: list[Said]) -> Sequence[Effect]:
        devices = sorted({said.device for said in rows})
        before = {row[0]: Known._make(row[1:]) for row in _READ_STATE.execute(connection, devices)}
        after: dict[int, Known] = dict.fromkeys(devices, Known()) | before
        versions: dict[int, deque[tuple[int, int, str]]] = {}
        for said in rows:
            known = after[said.device]
            after[said.device] = now = advance(known, said)
            if now.firmware != known.firmware and now.firmware is not None:
                at = said.received_at if said.ts is None else said.ts
                kept = versions.setdefault(said.device, deque(maxlen=VERSIONS_MAX))
                kept.append((said.device, at, now.firmware))
        changed: list[tuple[object, ...]] = []
        about: list[tuple[object, ...]] = []
        for device in devices:
            now, was = after[device], before.get(device)
            if now == was:
                continue
            if was is not None and now[:_BEFORE_METADATA] == was[:_BEFORE_METADATA]:
                about.append((device, *now[_BEFORE_METADATA:]))
            else:
                changed.append((device, *now, _key(now.firmware)))
        if changed:
            _SET_STATE.execute(connection, changed)
        if about:
            _SET_METADATA.execute(connection, about)
        if versions:
            add_versions(connection, [row for some in versions.values() for row in some])
        return ()


class AnnouncedAbsence:
    """When a device last announced that it is about to be away: the step of a firmware update in
    which it restarts."""

    name = "announced absence"
    sees = Sees.RECEIVED

    def wants(self, channel: Channel) -> Keys:
        return of_kinds(channel, frozenset({Kind.FIRMWARE_PROGRESS}))

    def plan(self, facts: Sequence[Fact]) -> list[tuple[int, int]] | None:
        found: dict[int, int] = {}
        for fact in facts:
            body = fact.body or {}
            words = {v.strip().lower() for v in body.values() if isinstance(v, str)}
            if words & ABSENCES:
                device = fact.device.id
                found[device] = max(found.get(device, 0), fact.received_at)
        return sorted(found.items()) or None

    def apply(self, connection: Connection, rows: list[tuple[int, int]]) -> Sequence[Effect]:
        _SET_ANNOUNCED.execute(connection, rows)
        return ()


def _online(fact: Fact) -> bool | None:
    """Whether a message of a kind that speaks of presence says that the device is there."""
    kind = fact.kind
    if kind is Kind.OFFLINE:
        return False
    body = fact.body
    said = online_text(fact.text) if body is None else online(fact.channel.payload, body)
    return True if said is None and kind is not Kind.STATUS else said


@lru_cache(maxsize=1024)  # a fleet has few versions
def _key(firmware: str | None) -> str | None:
    return None if firmware is None else version_key(firmware)


_SET_SEEN = Upsert(
    device_state,
    ("device_id", "last_seen_at"),
    "device_id",
    lambda new: {
        "last_seen_at": sa.case(
            (device_state.c.last_seen_at > new.last_seen_at, device_state.c.last_seen_at),
            else_=new.last_seen_at,
        )
    },
)
_SET_ANNOUNCED = Upsert(
    device_state,
    ("device_id", "announced_at"),
    "device_id",
    lambda new: {"announced_at": new.announced_at},
)
_KNOWN = ("device_id", *Known._fields)
_READ_STATE = Reading(device_state, _KNOWN, "device_id")
_SET_STATE = Upsert(
    device_state,
    (*_KNOWN, "firmware_key"),
    "device_id",
    lambda new: {name: new[name] for name in (*Known._fields, "firmware_key")},
)
# Most messages report metadata and nothing else of the device. SQLite writes the entries of an
# index again when its column is set, also to the same value, so the others are left out.
_BEFORE_METADATA = Known._fields.index("metadata")
_METADATA = Known._fields[_BEFORE_METADATA:]
_SET_METADATA = Upsert(
    device_state,
    ("device_id", *_METADATA),
    "device_id",
    lambda new: {name: new[name] for name in _METADATA},
)
