"""SQL of downlinks. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.downlink.model import Claimed, Downlink
from mooring.downlink.protocol import Asked, Taken
from mooring.downlink.rules import OPEN, TRANSITIONS, Event, State, Until
from mooring.store.schema import broker_events, device_state, devices, downlinks
from mooring.store.tally import add_to_counter

__all__ = [
    "any_due",
    "any_expired",
    "any_live",
    "change",
    "claim",
    "claim_live",
    "connected_now",
    "devices_connected",
    "expire",
    "finish_attempts",
    "insert",
    "live_devices",
    "live_of",
    "newest_event",
    "newest_of",
    "of_device",
    "one",
    "open_numbers",
    "park",
    "requeue",
    "tenants_with_work",
    "unanswered",
    "unclaim",
    "unclaim_live",
    "wake",
    "wake_all",
    "wake_live",
    "wake_live_names",
    "with_held",
    "with_key",
    "with_live",
    "withdraw",
    "work_question",
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

_LIVE = [until.value for until in Until if until.live]
_WOKEN = [state.value for state, event in TRANSITIONS if event is Event.CONNECT]

_WORK = (
    "SELECT EXISTS (SELECT 1 FROM downlinks WHERE state = 'waiting' AND next_at <= {at})"
    " OR EXISTS (SELECT 1 FROM downlinks WHERE state = 'queued' AND next_at <= {at})"
    " OR EXISTS (SELECT 1 FROM downlinks WHERE finished_at IS NULL AND expires_at <= {at})"
    " OR EXISTS (SELECT 1 FROM desired WHERE pending),"
    " EXISTS (SELECT 1 FROM downlinks WHERE state IN ('held', 'unconfirmed', 'queued')),"
    " (SELECT max(id) FROM broker_events)"
)

_d = downlinks.c
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
_CLAIMED = (
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


_INSERT = sa.insert(downlinks).returning(_d.id)


def insert(connection: Connection, values: Mapping[str, Any]) -> int:
    """Raises ``IntegrityError`` when one with the same ``open_key`` is open."""
    return int(connection.execute(_INSERT, values).scalar_one())


def with_key(connection: Connection, open_key: str) -> int | None:
    """The open one with this key."""
    return connection.execute(sa.select(_d.id).where(_d.open_key == open_key)).scalar()


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
        for part in _parts(numbers)
    )


_OPEN_NUMBERS = {
    name: sa.select(sa.func.count()).select_from(
        sa.select(sa.literal(1))
        .select_from(downlinks)
        .where(_d.finished_at.is_(None), _d[name] == sa.bindparam("whose"))
        .limit(sa.bindparam("most"))
        .subquery()
    )
    for name in ("device_id", "tenant")
}


def open_numbers(connection: Connection, most: int, **owner: int | str) -> int:
    """How many are open of ``device_id=`` or ``tenant=``; counts to ``most``."""
    ((name, value),) = owner.items()
    found = connection.execute(_OPEN_NUMBERS[name], {"whose": value, "most": most})
    return int(found.scalar_one())


# ---------------------------------------------------------------------- whose turn it is


def tenants_with_work(
    connection: Connection, after: str | None, limit: int, state: State = State.WAITING
) -> list[str]:
    """Tenants with rows in ``state`` behind ``after`` in alphabetical order: one step through
    the index for each, however many rows they have."""
    first = sa.select(sa.func.min(_d.tenant)).where(_d.state == state.value)
    if after is not None:
        first = first.where(_d.tenant > after)
    found = first.cte("found", recursive=True)
    name = found.c[0]
    following = (
        sa.select(sa.func.min(_d.tenant))
        .where(_d.state == state.value, _d.tenant > name)
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
        .returning(*_CLAIMED)
    ).all()
    return sorted((_claimed(row) for row in rows), key=lambda claimed: claimed.id)


def work_question(at: int) -> str:
    """For ``Lookout``: whether anything is due or past its time; whether anything waits for a
    device to connect; the newest event of the broker."""
    return _WORK.format(at=int(at))


def any_due(connection: Connection, at: int) -> bool:
    """Whether anything is to be sent now."""
    due = sa.exists().where(_d.state == State.WAITING.value, _d.next_at <= at)
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
        .where(_d.state == State.SENDING.value, _d.until.not_in(_LIVE))
        .values(state=State.WAITING.value, next_at=at)
    ).rowcount


# ---------------------------------------------------------------------- live messages


def any_live(connection: Connection, at: int) -> bool:
    """Whether a live message is to be tried now."""
    due = sa.exists().where(_d.state == State.QUEUED.value, _d.next_at <= at)
    return bool(connection.execute(sa.select(due)).scalar())


def live_devices(connection: Connection, tenant: str, at: int, limit: int) -> list[int]:
    """The tenant's devices with live messages to be tried now; those that wait longest first."""
    rows = connection.execute(
        sa.select(_d.device_id)
        .where(
            _d.state == State.QUEUED.value,
            _d.tenant == tenant,
            _d.next_at <= at,
            _d.expires_at > at,
            _d.device_id.is_not(None),
        )
        .group_by(_d.device_id)
        .order_by(sa.func.min(_d.next_at), _d.device_id)
        .limit(limit)
    )
    return [row[0] for row in rows]


def live_of(connection: Connection, device_ids: Sequence[int], at: int, each: int) -> list[Asked]:
    """The first live messages of each of these devices, in the order in which they were
    written."""
    found: list[Asked] = []
    for part in _parts(device_ids):
        numbered = (
            sa.select(
                _d.id,
                _d.device_id,
                _d.topic,
                sa.func.row_number().over(partition_by=_d.device_id, order_by=_d.id).label("place"),
            )
            .where(_d.state == State.QUEUED.value, _d.expires_at > at, _d.device_id.in_(part))
            .subquery()
        )
        rows = connection.execute(
            sa.select(numbered.c.id, numbered.c.device_id, devices.c.username, numbered.c.topic)
            .join(devices, devices.c.id == numbered.c.device_id)
            .where(numbered.c.place <= each)
            .order_by(numbered.c.id)
        )
        found += [Asked(*row) for row in rows]
    return sorted(found, key=lambda asked: asked.id)


def claim_live(connection: Connection, numbers: Sequence[int], at: int) -> list[Claimed]:
    """Marks these live messages as being sent; those that were cancelled are left out."""
    claimed: list[Claimed] = []
    for part in _parts(numbers):
        rows = connection.execute(
            sa.update(downlinks)
            .where(_d.id.in_(part), _d.state == State.QUEUED.value)
            .values(state=State.SENDING.value, attempts=_d.attempts + 1, sent_at=at)
            .returning(*_CLAIMED)
        ).all()
        claimed += [_claimed(row) for row in rows]
    return sorted(claimed, key=lambda one: one.id)


def park(connection: Connection, device_ids: Sequence[int], next_at: Mapping[int, int]) -> None:
    """Queued messages of these devices are not tried again before ``next_at``."""
    for number in device_ids:
        connection.execute(
            sa.update(downlinks)
            .where(_d.device_id == number, _d.finished_at.is_(None))
            .where(_d.state == State.QUEUED.value)
            .values(next_at=next_at[number])
        )


def unclaim_live(connection: Connection, at: int) -> list[Taken]:
    """Live messages that a former sender had marked. Those that may be repeated are queued
    again; the others count as taken: they may have been."""
    again = _d.until == Until.LIVE_AGAIN.value
    marked = _d.state == State.SENDING.value
    connection.execute(
        sa.update(downlinks).where(marked, again).values(state=State.QUEUED.value, next_at=at)
    )
    once = _d.until == Until.LIVE.value
    rows = connection.execute(sa.select(_d.id, _d.sent_at).where(marked, once)).all()
    why = "The sender ended before it recorded the broker's answer."
    found = [Taken(row[0], row[1] or at, why) for row in rows]
    for part in _parts([one.id for one in found]):
        change(connection, Event.ACCEPT, at, _d.id.in_(part), error=why)
    return found


def requeue(connection: Connection, numbers: Sequence[int], at: int) -> None:
    """Live messages whose session has ended are sent again, in their old places."""
    for part in _parts(numbers):
        connection.execute(
            sa.update(downlinks)
            .where(
                _d.id.in_(part),
                _d.state == State.UNCONFIRMED.value,
                _d.until == Until.LIVE_AGAIN.value,
            )
            .values(state=State.QUEUED.value, next_at=at)
        )


def wake_live(connection: Connection, device_ids: Sequence[int], at: int) -> int:
    """Live messages of these devices are tried at ``at``."""
    woken = 0
    for part in _parts(sorted(set(device_ids))):
        woken += connection.execute(
            sa.update(downlinks)
            .where(
                _d.device_id.in_(part),
                _d.finished_at.is_(None),
                _d.state == State.QUEUED.value,
                _d.next_at > at,
            )
            .values(next_at=at)
        ).rowcount
    return woken


def wake_live_names(connection: Connection, usernames: Sequence[str]) -> list[int]:
    """Devices with these usernames that have live messages."""
    found: list[int] = []
    for part in _parts(usernames):
        queued = sa.exists().where(
            _d.device_id == devices.c.id,
            _d.finished_at.is_(None),
            _d.state == State.QUEUED.value,
        )
        found += connection.execute(
            sa.select(devices.c.id).where(devices.c.username.in_(part), queued)
        ).scalars()
    return found


# ---------------------------------------------------------------------- what happened


def finish_attempts(
    connection: Connection,
    event: Event,
    attempts: Sequence[tuple[int, int]],
    at: int,
    *,
    next_at: Mapping[int, int] | None = None,
    lost: bool = False,
    taken: bool = False,
    error: str | None = None,
) -> int:
    """Records what became of attempts: pairs of number and ``attempts`` of the row. A row that
    somebody else has changed meanwhile stays as it is.

    Args:
        next_at: for ``Event.RETRY``: when each is tried again.
        lost: they got no answer.
        taken: the broker has taken them.
    """
    state = TRANSITIONS[State.SENDING, event]
    changed = 0
    for number, attempt in attempts:
        values = _values(state, at, error)
        if next_at is not None and number in next_at:
            values["next_at"] = next_at[number]
        values["losses"] = _d.losses + 1 if lost else 0
        if taken:
            values["answered_at"] = at
        changed += connection.execute(
            sa.update(downlinks)
            .where(_d.id == number, _d.state == State.SENDING.value, _d.attempts == attempt)
            .values(values)
        ).rowcount
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
        for part in _parts(numbers)
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


def _values(state: State, at: int, error: str | None) -> dict[str, Any]:
    """A row that is over keeps no payload and no key."""
    values: dict[str, Any] = {"state": state.value, "error": error}
    if state.over:
        values |= {"finished_at": at, "payload": None, "sealed": False, "open_key": None}
    return values


def _count(connection: Connection, state: State, number: int) -> None:
    if number and state in COUNTED:
        add_to_counter(connection, COUNTED[state], number)


# ---------------------------------------------------------------------- devices that connect


def newest_event(connection: Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(broker_events.c.id))).scalar() or 0)


def devices_connected(
    connection: Connection, after: int, limit: int
) -> tuple[list[int], int, bool]:
    """Devices that connected after event ``after``; the last event looked at; whether there
    are more."""
    rows = connection.execute(
        sa.select(broker_events.c.id, broker_events.c.event, broker_events.c.username)
        .where(broker_events.c.id > after)
        .order_by(broker_events.c.id)
        .limit(limit)
    ).all()
    names = {row[2] for row in rows if row[1] == "connected" and row[2] is not None}
    found: list[int] = []
    for part in _parts(sorted(names)):
        found += connection.execute(
            sa.select(devices.c.id).where(devices.c.username.in_(part))
        ).scalars()
    return found, (rows[-1][0] if rows else after), len(rows) == limit


def connected_now(connection: Connection, numbers: Iterable[int]) -> set[int]:
    """Those of these devices that are in session."""
    found: set[int] = set()
    for part in _parts(sorted(set(numbers))):
        found |= set(
            connection.execute(
                sa.select(device_state.c.device_id).where(
                    device_state.c.device_id.in_(part), device_state.c.connected
                )
            ).scalars()
        )
    return found


def with_live(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """Those of these devices that have live messages."""
    found: list[int] = []
    for part in _parts(numbers):
        found += connection.execute(
            sa.select(_d.device_id)
            .distinct()
            .where(
                _d.device_id.in_(part),
                _d.finished_at.is_(None),
                _d.state == State.QUEUED.value,
            )
        ).scalars()
    return found


def with_held(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """Those of these devices that have rows which wait for them."""
    found: list[int] = []
    for part in _parts(numbers):
        found += connection.execute(
            sa.select(_d.device_id)
            .distinct()
            .where(_d.device_id.in_(part), _d.finished_at.is_(None))
            .where(_d.state.in_(_WOKEN), _d.until.not_in(_LIVE))
        ).scalars()
    return found


def wake(connection: Connection, numbers: Sequence[int], at: int) -> int:
    """Rows of devices that have connected are sent again, from ``at`` on."""
    woken = 0
    for part in _parts(numbers):
        woken += _wake(connection, at, _d.device_id.in_(part))
    return woken


def wake_all(connection: Connection, at: int) -> int:
    """As ``wake``, for every device that has connected since the last attempt."""
    back = sa.exists().where(
        device_state.c.device_id == _d.device_id,
        device_state.c.connected,
        device_state.c.connected_at > _d.sent_at,
    )
    return _wake(connection, at, back)


def _wake(connection: Connection, at: int, which: sa.ColumnElement[bool]) -> int:
    return connection.execute(
        sa.update(downlinks)
        .where(_d.finished_at.is_(None), _d.state.in_(_WOKEN), _d.until.not_in(_LIVE), which)
        .values(state=State.WAITING.value, next_at=at)
    ).rowcount


# ---------------------------------------------------------------------- rows


def _shown(row: Sequence[Any]) -> Downlink:
    values = list(row)
    values[3], values[4] = Until(values[3]), State(values[4])
    return Downlink(*values)


def _claimed(row: Sequence[Any]) -> Claimed:
    values = list(row)
    values[3] = bytes(values[3] or b"")
    values[4], values[6], values[7] = bool(values[4]), bool(values[6]), Until(values[7])
    return Claimed(*values)


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[at : at + AT_ONCE] for at in range(0, len(values), AT_ONCE))
