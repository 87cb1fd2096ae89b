"""SQL of downlinks. The caller decides on transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.downlink.model import Claimed, Downlink
from mooring.downlink.rules import OPEN, TRANSITIONS, Event, State, Until
from mooring.store.given import among, given, numbers, parameter
from mooring.store.numbered import insert_numbered
from mooring.store.schema import downlinks
from mooring.store.tally import add_to_counter

__all__ = [
    "CLAIMED",
    "LIVE",
    "OPEN_ROWS",
    "WORK",
    "any_due",
    "any_expired",
    "change",
    "claim",
    "claimed_row",
    "expire",
    "finish_attempts",
    "forget",
    "insert",
    "newest_of",
    "of_device",
    "one",
    "open_of_devices",
    "open_of_tenant",
    "parts_of",
    "tenants_with_work",
    "unanswered",
    "unclaim",
    "with_keys",
    "withdraw",
]

COUNTED = {
    State.SENT: "downlinks_sent",
    State.UNCONFIRMED: "downlinks_sent",
    State.CONFIRMED: "downlinks_confirmed",
    State.UNHEARD: "downlinks_unheard",
    State.EXPIRED: "downlinks_expired",
    State.CANCELLED: "downlinks_cancelled",
    State.FAILED: "downlinks_failed",
}
AT_ONCE = 500  # numbers in one statement

LIVE = [until.value for until in Until if until.live]

WORK = (
    "SELECT EXISTS (SELECT 1 FROM downlinks"
    " WHERE finished_at IS NULL AND state = 'queued' AND next_at <= :at),"
    " EXISTS (SELECT 1 FROM downlinks"
    " WHERE finished_at IS NULL AND state = 'waiting' AND next_at <= :at)"
    " OR EXISTS (SELECT 1 FROM downlinks WHERE finished_at IS NULL AND expires_at <= :at)"
    " OR EXISTS (SELECT 1 FROM desired WHERE pending),"
    " EXISTS (SELECT 1 FROM downlinks"
    " WHERE finished_at IS NULL AND state IN ('held', 'unconfirmed', 'queued')),"
    " (SELECT max(id) FROM broker_events)"
)
"""For ``Lookout``, at a time ``at``: whether a live message is due; whether any other is, or is
past its time; whether anything waits for a device to connect; the newest event of the broker."""

_d = downlinks.c
OPEN_ROWS = _d.finished_at.is_(None)
"""What indexes of open rows hold: a statement that asks for a state must say so, too."""
_SHOWN = (
    _d.id,
    _d.topic,
    _d.qos,
    _d.until,
    _d.state,
    _d.attempts,
    _d.created_at,
    _d.next_at,
    _d.expires_at,
    _d.sent_at,
    _d.finished_at,
    _d.origin,
    _d.reason,
    sa.func.coalesce(_d.error, ""),
)
CLAIMED = (
    _d.id,
    _d.device_id,
    _d.topic,
    _d.payload,
    _d.sealed,
    _d.qos,
    _d.retain,
    _d.until,
    _d.attempts,
    _d.losses,
    _d.expires_at,
    _d.sent_at,
)


def insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Their numbers, in the order of ``rows``. Raises ``IntegrityError`` when one with the same
    ``open_key`` is open."""
    return insert_numbered(connection, downlinks, rows)


def with_keys(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    """Key → the open one with it."""
    found: dict[str, int] = {}
    for part in parts_of(keys):
        rows = connection.execute(sa.select(_d.open_key, _d.id).where(_d.open_key.in_(part)))
        found |= {row[0]: row[1] for row in rows}
    return found


def one(connection: Connection, number: int) -> tuple[int | None, str, Downlink] | None:
    """(device, tenant, downlink)."""
    row = connection.execute(
        sa.select(_d.device_id, _d.tenant, *_SHOWN).where(_d.id == number)
    ).first()
    return None if row is None else (row[0], row[1], _shown(row[2:]))


def newest_of(
    connection: Connection, numbers: Sequence[int], dedupe: Sequence[str]
) -> dict[str, Downlink]:
    """The newest one with each ``dedupe`` of these devices, open or over. A ``dedupe`` belongs to
    one device."""
    rows = connection.execute(
        sa.select(_d.dedupe, *_SHOWN)
        .where(_d.device_id.in_(numbers), _d.dedupe.in_(dedupe))
        .order_by(_d.id)
    )
    return {row[0]: _shown(row[1:]) for row in rows}


def of_device(
    connection: Connection, device_id: int, *, limit: int, before: int | None = None
) -> list[Downlink]:
    """The newest first."""
    statement = sa.select(*_SHOWN).where(_d.device_id == device_id)
    if before is not None:
        statement = statement.where(_d.id < before)
    rows = connection.execute(statement.order_by(_d.id.desc()).limit(limit))
    return [_shown(row) for row in rows]


def unanswered(connection: Connection, numbers: Sequence[int]) -> int:
    """How many of these are open and were never taken by the broker."""
    return sum(
        int(
            connection.execute(
                sa.select(sa.func.count()).where(
                    _d.id.in_(part), _d.finished_at.is_(None), _d.answered_at.is_(None)
                )
            ).scalar_one()
        )
        for part in parts_of(numbers)
    )


_OPEN_OF_TENANT = sa.select(sa.func.count()).select_from(
    sa.select(sa.literal(1))
    .select_from(downlinks)
    .where(OPEN_ROWS, _d.state.in_([one.value for one in OPEN]), _d.tenant == sa.bindparam("whose"))
    .limit(sa.bindparam("most"))
    .subquery()
)


def open_of_tenant(connection: Connection, tenant: str, most: int) -> int:
    """How many are open of a tenant; counts to ``most``."""
    found = connection.execute(_OPEN_OF_TENANT, {"whose": tenant, "most": most})
    return int(found.scalar_one())


@cache
def _open_of_devices(dialect: str) -> Any:
    """Put together once: that costs more than running it."""
    return (
        sa.select(_d.device_id, sa.func.count())
        .where(_d.finished_at.is_(None), among(dialect, _d.device_id))
        .group_by(_d.device_id)
    )


def open_of_devices(connection: Connection, devices: Collection[int]) -> Counter[int]:
    """Device → how many of its own are open; one statement."""
    dialect = connection.dialect.name
    rows = connection.execute(_open_of_devices(dialect), numbers(dialect, devices))
    return Counter({row[0]: row[1] for row in rows})


# ---------------------------------------------------------------------- whose turn it is


def tenants_with_work(
    connection: Connection, after: str | None, limit: int, state: State = State.WAITING
) -> list[str]:
    """Tenants with rows in ``state`` behind ``after`` in alphabetical order: one step through
    the index for each, however many rows they have."""
    first = sa.select(sa.func.min(_d.tenant)).where(OPEN_ROWS, _d.state == state.value)
    if after is not None:
        first = first.where(_d.tenant > after)
    found = first.cte("found", recursive=True)
    name = found.c[0]
    following = (
        sa.select(sa.func.min(_d.tenant))
        .where(OPEN_ROWS, _d.state == state.value, _d.tenant > name)
        .correlate(found)
        .scalar_subquery()
    )
    found = found.union_all(sa.select(following).where(name.is_not(None)))
    statement = sa.select(found.c[0]).where(found.c[0].is_not(None)).limit(limit)
    return list(connection.execute(statement).scalars())


def claim(
    connection: Connection, tenant: str, at: int, limit: int, *, alone: bool
) -> list[Claimed]:
    """Marks the tenant's next rows as being sent.

    Args:
        alone: those that got no answer before; otherwise only those that had one, or are new.
    """
    due = (
        sa.select(_d.id)
        .where(
            OPEN_ROWS,
            _d.state == State.WAITING.value,
            _d.tenant == tenant,
            _d.next_at <= at,
            _d.expires_at > at,
            _d.losses > 0 if alone else _d.losses == 0,
        )
        .order_by(_d.next_at, _d.id)
        .limit(limit)
    )
    rows = connection.execute(
        sa.update(downlinks)
        .where(_d.id.in_(due))
        .values(state=State.SENDING.value, attempts=_d.attempts + 1, sent_at=at)
        .returning(*CLAIMED)
    ).all()
    return sorted((claimed_row(row) for row in rows), key=lambda claimed: claimed.id)


def any_due(connection: Connection, at: int) -> bool:
    """Whether anything is to be sent now."""
    due = sa.exists().where(OPEN_ROWS, _d.state == State.WAITING.value, _d.next_at <= at)
    return bool(connection.execute(sa.select(due)).scalar())


def any_expired(connection: Connection, at: int) -> bool:
    """Whether anything open is past its time."""
    past = sa.exists().where(_d.finished_at.is_(None), _d.expires_at <= at)
    return bool(connection.execute(sa.select(past)).scalar())


def unclaim(connection: Connection, at: int) -> int:
    """What a former sender had marked may have been sent, and is sent again; live messages are
    ``unclaim_live``'s."""
    return connection.execute(
        sa.update(downlinks)
        .where(OPEN_ROWS, _d.state == State.SENDING.value, _d.until.not_in(LIVE))
        .values(state=State.WAITING.value, next_at=at)
    ).rowcount


# ---------------------------------------------------------------------- what happened


_FINISH: dict[tuple[str, bool], Any] = {}


def _finishing(dialect: str, *, over: bool) -> Any:
    """Put together once: that costs more than running it. PostgreSQL gets all rows as one value;
    SQLite has no trips to save, and would look at every row of that value for each of its own."""
    found = _FINISH.get((dialect, over))
    if found is None:
        names = ("id", "attempts", "next_at")
        new: dict[str, Any] = {
            name: sa.bindparam(f"new_{name}", type_=_d[name].type) for name in names
        }
        if dialect == "postgresql":
            rows = given(dialect, {name: _d[name].type for name in names})
            new = {name: rows.c[name] for name in names}
        values: dict[str, Any] = {
            "state": sa.bindparam("to"),
            "error": sa.bindparam("why", type_=_d.error.type),
            "next_at": new["next_at"],
            "losses": sa.case((sa.bindparam("lost", type_=sa.Boolean), _d.losses + 1), else_=0),
            "answered_at": sa.func.coalesce(
                sa.bindparam("taken_at", type_=_d.answered_at.type), _d.answered_at
            ),
        }
        if over:
            values |= _OVER | {"finished_at": sa.bindparam("at", type_=_d.finished_at.type)}
        found = _FINISH[dialect, over] = (
            sa.update(downlinks)
            .where(
                _d.id == new["id"],
                _d.attempts == new["attempts"],
                _d.state == State.SENDING.value,
            )
            .values(values)
        )
    return found


def finish_attempts(
    connection: Connection,
    event: Event,
    attempts: Sequence[tuple[int, int, int]],
    at: int,
    *,
    lost: bool = False,
    taken: bool = False,
    error: str | None = None,
) -> int:
    """Records what became of attempts, with one statement. A row that somebody else has changed
    meanwhile stays as it is.

    Args:
        attempts: of each row its number, its ``attempts``, and the earliest time of its next one.
        lost: they got no answer.
        taken: the broker has taken them.
    """
    state = TRANSITIONS[State.SENDING, event]
    statement = _finishing(connection.dialect.name, over=state.over)
    values = {"to": state.value, "why": error, "lost": lost, "taken_at": at if taken else None}
    if state.over:
        values["at"] = at
    changes: Any = values | parameter(attempts)
    if connection.dialect.name == "sqlite":
        changes = [
            values | {"new_id": number, "new_attempts": attempt, "new_next_at": next_at}
            for number, attempt, next_at in attempts
        ]
    changed = connection.execute(statement, changes).rowcount
    _count(connection, state, changed)
    return changed


def change(
    connection: Connection, event: Event, at: int, *where: sa.ColumnElement[bool], error: str = ""
) -> list[int]:
    """Applies an event to open rows; the numbers of those that it changed."""
    changed: list[int] = []
    by_target: dict[State, list[str]] = {}
    for state in OPEN:
        target = TRANSITIONS.get((state, event))
        if target is not None:
            by_target.setdefault(target, []).append(state.value)
    for target, sources in by_target.items():
        found = list(
            connection.execute(
                sa.update(downlinks)
                .where(_d.finished_at.is_(None), _d.state.in_(sources), *where)
                .values(_values(target, at, error or None))
                .returning(_d.id)
            ).scalars()
        )
        _count(connection, target, len(found))
        changed += found
    return changed


def withdraw(connection: Connection, numbers: Sequence[int], at: int) -> int:
    """Cancels those of these that were never sent; how many."""
    never = (_d.state.in_([State.WAITING.value, State.QUEUED.value]), _d.attempts == 0)
    return sum(
        len(change(connection, Event.CANCEL, at, _d.id.in_(part), *never))
        for part in parts_of(numbers)
    )


def expire(connection: Connection, at: int, limit: int) -> int:
    """Ends what is past its time, at most ``limit`` rows."""
    some = (
        sa.select(_d.id)
        .where(_d.finished_at.is_(None), _d.expires_at <= at)
        .order_by(_d.expires_at)
        .limit(limit)
    )
    return len(change(connection, Event.EXPIRE, at, _d.id.in_(some)))


_OVER: dict[str, Any] = {"payload": None, "sealed": False, "open_key": None}


def _values(state: State, at: int, error: str | None) -> dict[str, Any]:
    """A row that is over keeps no payload and no key."""
    values: dict[str, Any] = {"state": state.value, "error": error}
    if state.over:
        values |= _OVER | {"finished_at": at}
    return values


def _count(connection: Connection, state: State, number: int) -> None:
    if number and state in COUNTED:
        add_to_counter(connection, COUNTED[state], number)


# ---------------------------------------------------------------------- rows


def _shown(row: Sequence[Any]) -> Downlink:
    values = list(row)
    values[3], values[4] = Until(values[3]), State(values[4])
    return Downlink(*values)


def claimed_row(row: Sequence[Any]) -> Claimed:
    values = list(row)
    values[3] = bytes(values[3] or b"")
    values[4], values[6], values[7] = bool(values[4]), bool(values[6]), Until(values[7])
    return Claimed(*values)


def parts_of(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[at : at + AT_ONCE] for at in range(0, len(values), AT_ONCE))


def forget(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """Deletes those that are over; the others."""
    for part in parts_of(numbers):
        connection.execute(
            sa.delete(downlinks).where(
                downlinks.c.id.in_(part), downlinks.c.finished_at.is_not(None)
            )
        )
    return [
        number
        for part in parts_of(numbers)
        for number in connection.execute(
            sa.select(downlinks.c.id).where(downlinks.c.id.in_(part)).order_by(downlinks.c.id)
        ).scalars()
    ]
