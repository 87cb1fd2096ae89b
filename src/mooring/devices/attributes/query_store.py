"""SQL of conditions on devices."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa

from mooring.devices.attributes.problem_store import has_problem, mentions, of_row, silent_for
from mooring.devices.attributes.terms import (
    Both,
    Condition,
    Connected,
    Either,
    Enabled,
    Firmware,
    HasProblem,
    InGroup,
    Like,
    Mentions,
    Named,
    Not,
    Presence,
    Ranged,
    Sign,
    SilentFor,
    Term,
)
from mooring.store.schema import (
    device_attributes,
    device_groups,
    device_state,
    devices,
    presence,
)

__all__ = ["has", "holds"]

_GLOB_MARK = re.compile(r"[\[\]]")
_LIKE_MARK = re.compile(r"([%_\\])")
_WORST = "\U0010ffff"
"""No key begins with it."""


def holds(  # noqa: PLR0911, PLR0912 - one for each kind of condition
    condition: Condition, number: Any, engine: str
) -> sa.ColumnElement[bool]:
    """Whether a device meets a condition; never NULL.

    Args:
        number: the column with the device's number; its table is joined with ``devices``, or is
            ``devices``.
        engine: ``sqlite`` or ``postgresql``.
    """
    match condition:
        case Term(name, key, negated):
            exists = has(name, key, number)
            return ~exists if negated else exists
        case Ranged(name, sign, key):
            return _attribute(name, number, partial(_compare, sign=sign, key=key))
        case Like(name, pattern):
            return _attribute(name, number, partial(_like, pattern="t" + pattern, engine=engine))
        case Named(which, word, pattern):
            column = devices.c[str(which)]
            return _like(column, word, engine) if pattern else column == word
        case Firmware(sign, key):
            return of_row(device_state, number, lambda row: _firmware(row, sign, key))
        case InGroup(name):
            return of_row(
                device_groups,
                number,
                lambda row: sa.true() if name is None else row.group_name == name,
            )
        case Presence("never_seen" as state):
            return ~of_row(presence, number, lambda row: row.state != state)
        case Presence(state):
            return of_row(presence, number, lambda row: row.state == state)
        case Enabled():
            return devices.c.enabled
        case Connected():
            return of_row(device_state, number, lambda row: row.connected.is_(True))
        case Mentions(text):
            return mentions(text)
        case SilentFor(ms):
            return silent_for(ms, number)
        case HasProblem(problem):
            return has_problem(problem, number)
        case Not(part):
            return sa.not_(holds(part, number, engine))
        case Both(parts):
            return sa.and_(*(holds(part, number, engine) for part in parts))
        case Either(parts):
            return sa.or_(*(holds(part, number, engine) for part in parts))


def has(name: str, key: str | None, number: Any) -> sa.ColumnElement[bool]:
    """Whether a device has an attribute, with the value of this key unless it is ``None``."""
    return _attribute(name, number, lambda column: sa.true() if key is None else column == key)


def _attribute(
    name: str, number: Any, condition: Callable[[Any], sa.ColumnElement[bool]]
) -> sa.ColumnElement[bool]:
    return of_row(
        device_attributes, number, lambda row: sa.and_(row.name == name, condition(row.key))
    )


def _firmware(row: Any, sign: Sign, key: str | None) -> sa.ColumnElement[bool]:
    column = row.firmware_key
    return column.is_not(None) if key is None else _compare(column, sign, key)


def _compare(column: Any, sign: Sign, key: str) -> sa.ColumnElement[bool]:
    """Keys are of one type if they have the same first character."""
    match sign:
        case Sign.EQUAL:
            return sa.and_(column == key)
        case Sign.BELOW:
            return sa.and_(column >= key[0], column < key)
        case Sign.UPTO:
            return sa.and_(column >= key[0], column <= key)
        case Sign.ABOVE:
            return sa.and_(column > key, column < key[0] + _WORST)
        case Sign.FROM:
            return sa.and_(column >= key, column < key[0] + _WORST)


def _like(column: Any, pattern: str, engine: str) -> sa.ColumnElement[bool]:
    """A pattern, with regard to case on both engines."""
    found: sa.ColumnElement[bool]
    if engine == "sqlite":
        escaped = _GLOB_MARK.sub(lambda mark: f"[{mark[0]}]", pattern)
        found = column.op("GLOB", is_comparison=True)(escaped)
        return found
    escaped = _LIKE_MARK.sub(r"\\\1", pattern).replace("*", "%").replace("?", "_")
    found = column.like(escaped, escape="\\")
    return found
