"""Device state from messages: when a device was last heard, and what it says of itself.

Telemetry pays one statement a batch, for ``LastSeen``. ``DeviceState`` reads and writes only
devices that said something of themselves in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.dialects.meaning import metadata, online, online_text
from mooring.dialects.model import Channel, Kind, Path
from mooring.dialects.payload import PayloadLimits, look_up
from mooring.ingest.facts import Fact
from mooring.ingest.projection import ALWAYS, Effect, Keys, Sees
from mooring.ingest.rows import AHEAD_MS
from mooring.presence.state import Known, Said, advance
from mooring.store.schema import device_state
from mooring.store.upsert import Reading, Upsert

__all__ = ["DeviceState", "LastSeen"]

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
        return frozenset(path[0] for path in paths if path)

    def plan(self, facts: Sequence[Fact]) -> list[Said] | None:
        rows: list[Said] = []
        covers: dict[int, _Cover] = {}
        # Backwards, so that of what a topic says again and again only the newest is taken apart.
        for fact in reversed(facts):
            device = fact.row[0]
            there = _online(fact) if fact.route.kind in _SPEAKS_OF_PRESENCE else None
            cover = covers.get(device)
            if cover is not None and cover.covers(fact):
                if there is not None:
                    rows.append(Said(device, fact.received_at, fact.own_time, there, None, None))
                continue
            version = fact.firmware
            about = metadata(fact.channel.payload, fact.body, self._limits) or None
            if version is not None or about is not None:
                covers[device] = _Cover(fact, version, about)
            elif there is None:
                continue
            rows.append(Said(device, fact.received_at, fact.own_time, there, version, about))
        rows.reverse()
        return rows or None

    def apply(self, connection: Connection, rows: list[Said]) -> Sequence[Effect]:
        devices = sorted({said.device for said in rows})
        before = {row[0]: Known._make(row[1:]) for row in _READ_STATE.execute(connection, devices)}
        after: dict[int, Known] = dict.fromkeys(devices, Known()) | before
        for said in rows:
            after[said.device] = advance(after[said.device], said)
        changed = [
            (device, *after[device]) for device in devices if after[device] != before.get(device)
        ]
        if changed:
            _SET_STATE.execute(connection, changed)
        return ()


class _Cover:
    """The next message of a device, by which an earlier one need not be taken apart.

    Most telemetry that speaks of the device reports the same few names each time: this is what
    such a message costs here, 0.5 µs.
    """

    __slots__ = ("_firmware", "_key", "_keys", "_path", "_route", "_ts", "_version")

    def __init__(self, fact: Fact, version: str | None, about: Mapping[str, Any] | None) -> None:
        shape = fact.channel.payload
        path = shape.metadata
        self._route = fact.route
        self._ts = fact.own_time
        self._path = path
        self._key = path[0] if path is not None and len(path) == 1 else None
        # Names of its metadata, with values.
        self._keys = frozenset(key for key in _raw_metadata(fact) if about and key in about)
        self._version = version is not None
        # Where a version would be among the names compared anyway.
        self._firmware = (
            shape.firmware[0][-1]
            if len(shape.firmware) == 1 and shape.firmware[0][:-1] == path
            else None
        )

    def covers(self, fact: Fact) -> bool:  # noqa: PLR0911 - one function for speed
        """Whether nothing that this earlier message says outlasts what the next one says."""
        if fact.route is not self._route:
            return False
        _, _, ts, received, _, source, _, _ = fact.row
        if self._ts is None or source:
            if self._ts is not None or not source:
                return False
        elif (ts if ts <= received + AHEAD_MS else received) > self._ts:
            return False
        body = fact.decoded.body
        if self._key is not None and body is not None:
            found = body.get(self._key)
        else:
            found = _raw_metadata(fact)
        if type(found) is not dict:
            found = {}
        if not found.keys() <= self._keys:
            return False
        for value in found.values():
            kind = type(value)
            if kind is dict or kind is list:
                return False
        if self._version:
            return True
        if self._firmware is not None:
            return self._firmware not in found
        return fact.firmware is None


def _raw_metadata(fact: Fact) -> dict[str, Any]:
    path = fact.channel.payload.metadata
    found = None if path is None else look_up(fact.body, path)
    return found if isinstance(found, dict) else {}


def _online(fact: Fact) -> bool | None:
    """Whether a message of a kind that speaks of presence says that the device is there."""
    kind = fact.kind
    if kind is Kind.OFFLINE:
        return False
    body = fact.body
    said = online_text(fact.text) if body is None else online(fact.channel.payload, body)
    return True if said is None and kind is not Kind.STATUS else said


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
_KNOWN = ("device_id", *Known._fields)
_READ_STATE = Reading(device_state, _KNOWN, "device_id")
_SET_STATE = Upsert(
    device_state, _KNOWN, "device_id", lambda new: {name: new[name] for name in Known._fields}
)
