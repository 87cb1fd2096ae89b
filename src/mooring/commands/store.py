"""SQL of commands. The caller decides on transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.commands.model import AT_LEAST_ONCE, Command, Evidence
from mooring.commands.rules import FINAL, OPEN, WITHOUT_OUTCOME, State
from mooring.dialects.model import DoneWhen
from mooring.identity.actor import Actor, walled
from mooring.store.given import given, parameter
from mooring.store.numbered import insert_numbered
from mooring.store.schema import commands, device_state, devices, downlinks
from mooring.store.tally import add_to_counter

__all__ = [
    "EVIDENCE_MAX",
    "OPEN_ROWS",
    "SELECT",
    "WITHOUT_OUTCOME_VALUES",
    "WORK",
    "any_due",
    "command_of",
    "connection_changed",
    "due",
    "ends",
    "find",
    "insert",
    "listed",
    "of_effects",
    "of_replies",
    "one",
    "open_of_tenant",
    "write",
]

AT_ONCE = 500  # numbers in one statement
EVIDENCE_MAX = 32  # steps kept of one command; the first and the newest
DETAIL_MAX = 300  # characters

_EVIDENCE = msgspec.json.Decoder(tuple[Evidence, ...])
_JSON = json.JSONEncoder(ensure_ascii=False)

COUNTED = {
    State.SENT: "commands_sent",
    State.DONE: "commands_done",
    State.FAILED: "commands_failed",
    State.REJECTED: "commands_rejected",
    State.TIMED_OUT: "commands_timed_out",
    State.UNCONFIRMED: "commands_unconfirmed",
    State.EXPIRED: "commands_expired",
    State.CANCELLED: "commands_cancelled",
}

WORK = (
    "SELECT EXISTS (SELECT 1 FROM commands WHERE finished_at IS NULL AND due_at <= :at),"
    " EXISTS (SELECT 1 FROM commands WHERE finished_at IS NULL AND state IN ('sent', 'delivered')"
    " AND (delivery = 'at_least_once' OR done_when = 'session')),"
    " (SELECT max(id) FROM broker_events)"
)
"""For ``Lookout``, at a time ``at``: whether a deadline has passed, whether a command waits for
what happens to its device's connection, and the newest event of the broker."""

_c = commands.c
OPEN_ROWS = _c.finished_at.is_(None)
"""What indexes of open rows hold: a statement that asks for a state must say so, too."""
NOT_DONE = FINAL - {State.DONE}
_NOT_DONE_ROWS = (_c.finished_at.is_not(None), _c.state != sa.literal_column("'done'"))
"""Likewise, of ``ix_commands_not_done``."""
WITHOUT_OUTCOME_VALUES = [state.value for state in WITHOUT_OUTCOME]
_COLUMNS = (
    _c.id,
    _c.uid,
    _c.device_id,
    _c.tenant,
    devices.c.name.label("device"),
    _c.channel,
    _c.name,
    _c.parameters,
    _c.actor,
    _c.reason,
    _c.topic,
    _c.qos,
    _c.delivery,
    _c.replies,
    _c.done_when,
    _c.state,
    _c.attempts,
    _c.late,
    _c.created_at,
    _c.expires_at,
    _c.reply_timeout_ms,
    _c.sent_at,
    _c.delivered_at,
    _c.finished_at,
    _c.due_at,
    _c.downlink_id,
    _c.session,
    _c.result,
    _c.evidence,
)
_FROM = commands.join(devices, devices.c.id == _c.device_id)
SELECT = sa.select(*_COLUMNS).select_from(_FROM)


_COPIED = (
    "uid",
    "device_id",
    "tenant",
    "channel",
    "name",
    "actor",
    "reason",
    "topic",
    "qos",
    "delivery",
    "replies",
    "done_when",
    "created_at",
    "expires_at",
    "reply_timeout_ms",
    "due_at",
    "downlink_id",
)


def insert(connection: Connection, new: Sequence[Command]) -> list[int]:
    """Queued commands; their numbers, in the order of ``new``. Raises ``IntegrityError`` when a
    device has one with the same ``uid``."""
    rows = [
        {name: getattr(one, name) for name in _COPIED}
        | {
            "parameters": _JSON.encode(dict(one.parameters)),
            "state": one.state.value,
            "evidence": evidence_text(one.evidence),
        }
        for one in new
    ]
    return insert_numbered(connection, commands, rows)


def one(connection: Connection, number: int, *, lock: bool = False) -> Command | None:
    """By its number; ``lock``: nobody else changes it in this transaction."""
    return _first(connection, SELECT.where(_c.id == number), lock=lock)


def find(connection: Connection, device_id: int, uid: str, *, lock: bool = False) -> Command | None:
    """By its id on the wire."""
    return _first(connection, SELECT.where(_c.device_id == device_id, _c.uid == uid), lock=lock)


def _first(connection: Connection, statement: Any, *, lock: bool) -> Command | None:
    if lock:
        statement = statement.with_for_update(of=commands)
    row = connection.execute(statement).first()
    return None if row is None else command_of(row)


def listed(
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    before: int | None = None,
    device_id: int | None = None,
    states: Sequence[State] = (),
) -> list[Command]:
    """Those that the actor sees, the newest first."""
    statement = SELECT
    if device_id is not None:
        statement = statement.where(_c.device_id == device_id)
    if states:
        statement = statement.where(_c.state.in_([state.value for state in states]))
        if OPEN.issuperset(states):
            statement = statement.where(OPEN_ROWS)
        elif NOT_DONE.issuperset(states):
            statement = statement.where(*_NOT_DONE_ROWS)
    if before is not None:
        statement = statement.where(_c.id < before)
    statement = walled(statement, _c.tenant, actor)
    rows = connection.execute(statement.order_by(_c.id.desc()).limit(limit))
    return [command_of(row) for row in rows]


def _counting(*where: sa.ColumnElement[bool]) -> Any:
    some = (
        sa.select(sa.literal(1))
        .select_from(commands)
        .where(*where)
        .limit(sa.bindparam("most"))
        .subquery()
    )
    return sa.select(sa.func.count()).select_from(some)


_OPEN_OF_TENANT = _counting(_c.tenant == sa.bindparam("whose"), _c.finished_at.is_(None))


def open_of_tenant(connection: Connection, tenant: str, most: int) -> int:
    found = connection.execute(_OPEN_OF_TENANT, {"whose": tenant, "most": most})
    return int(found.scalar_one())


class End(NamedTuple):
    """What became of a command, and the last step of its evidence."""

    id: int
    state: State
    detail: str


def ends(connection: Connection, wanted: Sequence[int]) -> list[End]:
    """Commands by their numbers; those that are gone are left out."""
    found = []
    for part in _parts(wanted):
        rows = connection.execute(sa.select(_c.id, _c.state, _c.evidence).where(_c.id.in_(part)))
        found += [End(row[0], State(row[1]), json.loads(row[2])[-1][3]) for row in rows]
    return found


# ---------------------------------------------------------------------- what happened


_WRITTEN = (
    "state",
    "attempts",
    "late",
    "sent_at",
    "delivered_at",
    "finished_at",
    "due_at",
    "session",
    "result",
    "evidence",
    "id",
)
_WRITE: dict[str, Any] = {}  # to put one together costs more than to run it
_WRITE_ROWS = (
    f"UPDATE commands SET {', '.join(f'{name} = ?' for name in _WRITTEN[:-1])} WHERE id = ?"  # noqa: S608 - names of columns
)


def write(connection: Connection, changed: Sequence[Command]) -> None:
    """Stores what ``changes.apply`` made of them, in the order of their numbers."""
    if not changed:
        return
    rows = sorted(changed, key=lambda one: one.id)
    values = [
        (
            one.state.value,
            one.attempts,
            one.late,
            one.sent_at,
            one.delivered_at,
            one.finished_at,
            one.due_at,
            one.session,
            None if one.result is None else json.dumps(one.result, ensure_ascii=False),
            evidence_text(one.evidence),
            one.id,
        )
        for one in rows
    ]
    if connection.dialect.name == "sqlite":
        # No trips to save: bound row by row it costs a third of taking them out of one value.
        connection.exec_driver_sql(_WRITE_ROWS, values)
        return
    statement = _WRITE.get("postgresql")
    if statement is None:
        new = given("postgresql", {name: _c[name].type for name in _WRITTEN})
        fresh = {name: new.c[name] for name in _WRITTEN if name != "id"}
        statement = sa.update(commands).where(_c.id == new.c.id).values(fresh)
        _WRITE["postgresql"] = statement
    connection.execute(statement, parameter(values))


def count(connection: Connection, states: Mapping[State, int]) -> None:
    """Adds to the counters of states that were entered."""
    for state in sorted(states):
        if state in COUNTED:
            add_to_counter(connection, COUNTED[state], states[state])


def evidence_text(evidence: Sequence[Evidence]) -> str:
    """As JSON; of too many steps the first and the newest are kept."""
    kept = list(evidence)
    if len(kept) > EVIDENCE_MAX:
        kept = [kept[0], *kept[-(EVIDENCE_MAX - 1) :]]
    steps = [[step.at, step.state, step.kind, step.detail[:DETAIL_MAX]] for step in kept]
    return _JSON.encode(steps)


# ---------------------------------------------------------------------- what is to be done


_READ_REPLIES: dict[str, Any] = {}


def of_replies(connection: Connection, keys: Iterable[tuple[int, str]]) -> list[Command]:
    """The commands with these devices and ids, for changing them."""
    engine = connection.dialect.name
    statement = _READ_REPLIES.get(engine)
    if statement is None:
        asked = given(engine, {"device_id": _c.device_id.type, "uid": _c.uid.type})
        statement = _READ_REPLIES[engine] = (
            SELECT.join(asked, sa.and_(asked.c.device_id == _c.device_id, asked.c.uid == _c.uid))
            .order_by(_c.id)
            .with_for_update(of=commands)
        )
    rows = connection.execute(statement, parameter(sorted(set(keys)))).all()
    return [command_of(row) for row in rows]


def of_effects(
    connection: Connection, device_ids: Iterable[int], effect: DoneWhen
) -> list[Command]:
    """Commands of these devices that wait for an effect, the oldest first."""
    found: list[Command] = []
    for part in _parts(sorted(set(device_ids))):
        rows = connection.execute(
            SELECT.where(
                OPEN_ROWS,
                _c.device_id.in_(part),
                _c.state.in_(WITHOUT_OUTCOME_VALUES),
                _c.done_when == effect.value,
            )
            .order_by(_c.id)
            .with_for_update(of=commands)
        )
        found += [command_of(row) for row in rows]
    return found


def any_due(connection: Connection, at: int) -> bool:
    return bool(
        connection.execute(sa.select(sa.exists().where(OPEN_ROWS, _c.due_at <= at))).scalar()
    )


def due(connection: Connection, at: int, limit: int) -> list[int]:
    """Numbers of those whose deadline has passed."""
    return list(
        connection.execute(
            sa.select(_c.id)
            .where(OPEN_ROWS, _c.due_at <= at)
            .order_by(_c.due_at, _c.id)
            .limit(limit)
        ).scalars()
    )


def connection_changed(connection: Connection, limit: int) -> list[tuple[int, bool, int]]:
    """Handed-over commands whose device has connected or disconnected since: number, whether it
    is connected now, since when."""
    c = device_state.c
    rows = connection.execute(
        sa.select(_c.id, c.connected, c.connected_at)
        .join(device_state, c.device_id == _c.device_id)
        .where(
            OPEN_ROWS,
            _c.state.in_(WITHOUT_OUTCOME_VALUES),
            sa.or_(
                sa.and_(_c.delivery == AT_LEAST_ONCE, _c.state == State.SENT.value),
                sa.and_(_c.done_when == DoneWhen.SESSION.value, c.connected),
            ),
            c.connected_at > _c.sent_at,
        )
        .order_by(_c.id)
        .limit(limit)
    )
    return [(row[0], bool(row[1]), row[2]) for row in rows]


def downlink_state(connection: Connection, number: int | None) -> tuple[str, str] | None:
    """State and error of the message that carries a command; ``None``: it is gone."""
    if number is None:
        return None
    row = connection.execute(
        sa.select(downlinks.c.state, downlinks.c.error)
        .where(downlinks.c.id == number)
        .with_for_update()
    ).first()
    return None if row is None else (row[0], row[1] or "")


# ---------------------------------------------------------------------- rows


def command_of(row: Any) -> Command:
    values = dict(row._mapping)
    parameters = values["parameters"]
    values["parameters"] = {} if parameters == "{}" else json.loads(parameters)
    values["state"] = State(values["state"])
    values["replies"], values["late"] = bool(values["replies"]), bool(values["late"])
    values["result"] = None if values["result"] is None else json.loads(values["result"])
    values["evidence"] = _EVIDENCE.decode(values["evidence"])
    return Command(**values)


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[at : at + AT_ONCE] for at in range(0, len(values), AT_ONCE))
