"""Lists of devices in addresses and in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, urlencode

from mooring.dashboard.forms import Query, row_number
from mooring.devices.attributes.query import Order, Place, order
from mooring.devices.attributes.terms import Problem
from mooring.devices.model import Device
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.fleet.model import STATES, DeviceRow, Filter

__all__ = [
    "COLUMNS",
    "PROBLEMS",
    "STATE_WORDS",
    "Badge",
    "address",
    "badge",
    "columns_of",
    "filter_of",
    "filter_pairs",
    "order_of",
    "place_of",
    "place_text",
    "stale_after",
    "state_badge",
    "with_pairs",
]


class Badge(NamedTuple):
    """A state: its look (``ok``, ``off``, ``warn``, ``bad``) and word."""

    look: str
    word: str


_BADGES = {
    "online": Badge("ok", "Connected"),
    "offline": Badge("off", "Not connected"),
    "never_seen": Badge("off", "Never seen"),
    "silent": Badge("warn", "Silent"),
    "flapping": Badge("warn", "Flapping"),
    "updating": Badge("warn", "Updating"),
    "disabled": Badge("off", "Disabled"),
    "rejected": Badge("bad", "Rejected"),
}

STATE_WORDS = {
    "online": "Connected and sending",
    "silent": "Silent",
    "flapping": "Flapping",
    "offline": "Not connected",
    "updating": "Updating",
    "never_seen": "Never seen",
    "connected": "With a session",
    "disconnected": "Without a session",
    "enabled": "Enabled",
    "disabled": "Disabled",
}
"""``mooring.fleet.model.STATES`` in words."""

PROBLEMS = {
    Problem.ALERT: "open alert",
    Problem.LOGIN: "login rejected",
    Problem.DENIED: "topic denied",
    Problem.DEAD_LETTER: "message not stored",
    Problem.MISSING: "messages missing",
    Problem.ROTATION: "rotation unsettled",
    Problem.CERTIFICATE: "certificate ends",
    Problem.SETTINGS: "settings rejected",
    Problem.SILENT: "silent",
}

COLUMNS = {
    "label": "Label",
    "tenant": "Tenant",
    "dialect": "Dialect",
    "firmware": "Firmware",
    "problems": "Problems",
    "groups": "Groups",
    "type": "Type",
    "tags": "Tags",
    "mac": "MAC address",
    "username": "Username",
    "address": "Address",
    "added": "Added",
}
"""Columns besides device, state and last message."""
FIRST_COLUMNS = ("label", "dialect", "firmware", "problems")


def address(device: Device) -> str:
    """The page of a device. With the tenant, so that it is the device's alone."""
    return f"/devices/{quote(f'{device.tenant}:{device.name}', safe=':')}"


def badge(row: DeviceRow) -> Badge:
    """The state of a device in a list."""
    if not row.device.enabled:
        return _BADGES["disabled"]
    return _BADGES["rejected" if Problem.LOGIN in row.problems else row.presence]


def state_badge(state: str) -> Badge:
    """The badge of a state by its name."""
    return _BADGES[state]


def stale_after(interval_ms: int | None) -> int:
    """Milliseconds after which a value is old: three of the device's intervals."""
    return 3 * interval_ms if interval_ms else 3_600_000


def filter_of(query: Query) -> tuple[Filter, str]:
    """The filter in an address, and what is wrong with it: then it is left out."""
    silent = query.text("silent")
    wrong, silent_ms = "", None
    if silent:
        try:
            silent_ms = max(1, round(seconds_of(silent) * 1000))
        except Invalid as exc:
            wrong = f"{exc.message} {exc.hint}"
    states = tuple(one for one in query.many("state", max=8) if one in STATES)
    problems = tuple(one for one in query.many("problem", max=8) if one in ("any", *Problem))
    where = tuple(query.many("where", max=8))
    found = Filter(
        tenant=query.text("tenant") or None,
        dialect=query.text("dialect") or None,
        search=query.text("q"),
        where=where,
        states=states,
        firmware=_versions(query),
        group=query.text("group") or None,
        silent_ms=silent_ms,
        problems=problems,
    )
    return found, wrong


def _versions(query: Query) -> tuple[str, ...]:
    """``none``: devices of which no version is known."""
    return tuple("" if one == "none" else one for one in query.many("firmware", max=8))


def filter_pairs(query: Query) -> list[tuple[str, str]]:
    """The part of an address that says which devices are listed."""
    names = ("q", "tenant", "dialect", "where", "state", "firmware", "group", "silent", "problem")
    return [(name, value) for name, value in query.pairs if name in names and value]


def order_of(query: Query) -> Order | None:
    """The order in an address; one that is none counts as missing."""
    try:
        return order(query.text("sort")) if query.text("sort") else None
    except Invalid:
        return None


def place_text(place: Place) -> str:
    """Where a page ends, for an address."""
    return f"{place.number}" if place.key is None else f"{place.number} {place.key}"


def place_of(text: str) -> Place | None:
    """What ``place_text`` made; ``None`` for anything else."""
    word, _, key = text.partition(" ")
    number = row_number(word)
    return None if number is None else Place(key or None, number)


def columns_of(query: Query) -> tuple[str, ...]:
    """Chosen columns, in their order."""
    chosen = query.many("col")
    return tuple(name for name in COLUMNS if name in (chosen or FIRST_COLUMNS))


def with_pairs(pairs: Sequence[tuple[str, str]]) -> str:
    """An address's query."""
    return f"?{urlencode(list(pairs))}" if pairs else "?"
