"""SQL of what may be wrong with a device, and of the words that a device is called by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from mooring.devices.attributes.terms import Problem
from mooring.store.engine import now_ms
from mooring.store.schema import (
    alerts,
    broker_events,
    certificates,
    dead_letters,
    device_settings,
    device_state,
    devices,
    presence,
    rotations,
    sequences,
)

__all__ = ["has_problem", "mentions", "of_row", "silent_for"]

DEAD_LETTER_MS = 86_400_000
ROTATION_MS = 600_000
CERTIFICATE_MS = 14 * 86_400_000

_HEX = re.compile(r"[0-9a-f]{1,12}", re.ASCII)
_ADDRESS = re.compile(r"[0-9a-f.:\[\]]+")
_REFUSED = ("refused",)  # mooring.broker.log_event.LogKind
_DENIED = ("denied_publish", "denied_subscribe")
_REJECTS_SETTINGS = ("refused", "stopped")  # mooring.device_settings.rules.State
_ABSENT = ("silent", "flapping")  # mooring.presence.states.machine.State

Exists = sa.ColumnElement[bool]


def of_row(table: sa.Table, number: Any, condition: Callable[[Any], Exists]) -> Exists:
    """Whether the device's row in a table, or one of its rows, meets a condition."""
    one = table.alias()
    return sa.select(sa.literal(1)).where(one.c.device_id == number, condition(one.c)).exists()


def has_problem(
    problem: Problem | None, number: Any, now: Any = None, *, few: bool = False
) -> Exists:
    """Whether a device has a problem; never NULL.

    Args:
        problem: ``None``: any.
        number: the column with the device's number; its table is joined with ``devices``, or is
            ``devices``.
        now: epoch milliseconds, or a parameter of the statement; ``None``: the time of the call.
        few: asked of the devices of one page, not of all.
    """
    now = now_ms() if now is None else now
    if problem is None:
        return sa.or_(*(has_problem(one, number, now, few=few) for one in Problem))
    return _PROBLEMS[problem](number, now, few)


def mentions(text: str) -> Exists:
    """Whether a text, in lower case, occurs in what a device is called by; never NULL."""
    between = sa.literal("\n")
    names = devices.c.name + between + devices.c.label + between + devices.c.username
    found: list[Exists] = [sa.func.lower(names).contains(text, autoescape=True)]
    mac = text.replace(":", "").replace("-", "")
    if _HEX.fullmatch(mac):
        found.append(sa.func.coalesce(devices.c.mac_key.contains(mac), sa.false()))
    if _ADDRESS.fullmatch(text):
        one = device_state.alias().c
        which = sa.select(one.device_id).where(one.address.contains(text))
        found.append(_within(devices.c.id, which))
    return sa.or_(*found)


def silent_for(ms: int, number: Any) -> Exists:
    """Whether the newest message is older than that; without any, whether the device is."""
    before, state = now_ms() - ms, device_state.alias()
    seen = sa.select(state.c.last_seen_at).where(state.c.device_id == number).scalar_subquery()
    return sa.func.coalesce(seen, devices.c.created_at) < before


# ---------------------------------------------------------------------- each problem


# Each is a set of devices that is read once from an index, however many devices are looked at.
# Where the set is found among the newest rows of all devices, a page looks its own up instead.


def _within(column: Any, statement: sa.Select[Any]) -> Exists:
    found: Exists = column.in_(statement)
    return found


def _alert(number: Any, _now: Any, _few: bool) -> Exists:
    one = alerts.alias().c
    which = sa.select(one.device_id).where(one.cleared_at.is_(None), one.device_id.is_not(None))
    return _within(number, which)


def _newest(
    table: sa.Table, key: str, of: Any, condition: Callable[[Any], Exists], *, few: bool
) -> Exists:
    """Whether the newest row that belongs to the device meets a condition.

    Args:
        key: the column of ``table`` that names the device.
        of: the column of the device with the same value.
        few: asked of the devices of one page: each looks its newest row up, which costs the same
            however many rows there are.
    """
    one, other = table.alias().c, table.alias().c
    if few:
        row = sa.select(sa.case((condition(one), 1), else_=0)).where(one[key] == of)
        last = row.order_by(one.id.desc()).limit(1).scalar_subquery()
        return sa.func.coalesce(last, 0) == 1
    newest = sa.select(sa.func.max(other.id)).where(other[key].is_not(None)).group_by(other[key])
    which = sa.select(one[key]).where(one.id.in_(newest), one[key].is_not(None), condition(one))
    return _within(of, which)


def _event(kinds: Sequence[str], *, few: bool) -> Exists:
    """Whether this is what the broker reported last of the device's username."""
    username = devices.c.username
    return _newest(broker_events, "username", username, lambda row: row.event.in_(kinds), few=few)


def _login(number: Any, _now: Any, few: bool) -> Exists:
    one = device_state.alias().c
    connected = sa.select(one.device_id).where(one.device_id == number, one.connected.is_(True))
    return sa.and_(_event(_REFUSED, few=few), ~connected.exists())


def _denied(_number: Any, _now: Any, few: bool) -> Exists:
    return _event(_DENIED, few=few)


def _dead_letter(number: Any, now: Any, few: bool) -> Exists:
    since = now - DEAD_LETTER_MS
    return _newest(dead_letters, "device_id", number, lambda row: row.received_at >= since, few=few)


def _missing(number: Any, _now: Any, _few: bool) -> Exists:
    one = sequences.alias().c
    return _within(number, sa.select(one.device_id).where(one.gap_since.is_not(None)))


def _rotation(number: Any, now: Any, _few: bool) -> Exists:
    one = rotations.alias().c
    late = one.created_at < now - ROTATION_MS
    return _within(number, sa.select(one.device_id).where(one.finished_at.is_(None), late))


def _certificate(_number: Any, now: Any, _few: bool) -> Exists:
    one, other = certificates.alias().c, certificates.alias().c
    soon = now + CERTIFICATE_MS
    later = sa.select(sa.literal(1)).where(
        other.username == one.username, other.revoked_at.is_(None), other.not_after >= soon
    )
    which = sa.select(one.username).where(
        one.not_after < soon, one.revoked_at.is_(None), ~later.exists()
    )
    return _within(devices.c.username, which)


def _settings(number: Any, _now: Any, _few: bool) -> Exists:
    one = device_settings.alias().c
    return _within(number, sa.select(one.device_id).where(one.state.in_(_REJECTS_SETTINGS)))


def _silent(number: Any, _now: Any, _few: bool) -> Exists:
    one = presence.alias().c
    return _within(number, sa.select(one.device_id).where(one.state.in_(_ABSENT)))


_PROBLEMS: Mapping[Problem, Callable[[Any, Any, bool], Exists]] = {
    Problem.ALERT: _alert,
    Problem.LOGIN: _login,
    Problem.DENIED: _denied,
    Problem.DEAD_LETTER: _dead_letter,
    Problem.MISSING: _missing,
    Problem.ROTATION: _rotation,
    Problem.CERTIFICATE: _certificate,
    Problem.SETTINGS: _settings,
    Problem.SILENT: _silent,
}
