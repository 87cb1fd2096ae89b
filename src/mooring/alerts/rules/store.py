"""SQL of rules, their states, and the messages that no rule has seen. The caller decides on
transactions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.alerts.rules.evaluate import CALM, Phase, State
from mooring.alerts.rules.model import Rule
from mooring.alerts.rules.parse import definition_of
from mooring.identity.actor import Actor, walled
from mooring.rollups.queue import Span, prepare_index
from mooring.rollups.rows import fetch, numbers
from mooring.store.given import given, parameter
from mooring.store.schema import alerts, devices, latest, rule_queue, rule_states, rules

__all__ = [
    "HELD",
    "WORK",
    "Stored",
    "delete",
    "delete_states",
    "every",
    "find",
    "forget_queue",
    "heard",
    "insert",
    "listed",
    "messages",
    "newest_before",
    "of_device",
    "open_keys",
    "queued",
    "rearm",
    "rearmed",
    "replace",
    "states",
    "take",
    "waiting",
    "write_states",
]

WORK = "SELECT (SELECT value FROM versions WHERE name = 'rules'), EXISTS (SELECT 1 FROM rule_queue)"
"""For ``Lookout``: the version of the rules, and whether messages wait."""

_c = rules.c
_COLUMNS = (
    _c.id,
    _c.tenant,
    _c.name,
    _c.enabled,
    _c.version,
    _c.created_at,
    _c.updated_at,
    _c.definition,
)
_SELECT = sa.select(*_COLUMNS)
AT_ONCE = 500
HELD = "rule_states"
"""The version that grows when a person clears the alert of a rule."""


def _rule(row: Sequence[Any]) -> Rule:
    document = json.loads(row[7])
    number, tenant, name, enabled, version, created_at, updated_at = row[:7]
    definition = definition_of(document)
    return Rule(
        number, tenant, name, bool(enabled), version, created_at, updated_at, definition, document
    )


def every(connection: Connection) -> list[Rule]:
    """Those that are enabled."""
    return [_rule(row) for row in connection.execute(_SELECT.where(_c.enabled).order_by(_c.id))]


def listed(
    connection: Connection, actor: Actor, *, tenant: str | None, after: int, limit: int
) -> list[Rule]:
    """In the order in which they were added."""
    statement = _SELECT.where(_c.id > after).order_by(_c.id).limit(limit)
    if tenant is not None:
        statement = statement.where(_c.tenant == tenant)
    return [_rule(row) for row in connection.execute(walled(statement, _c.tenant, actor))]


def find(
    connection: Connection, actor: Actor, *, name: str, tenant: str | None, lock: bool = False
) -> list[Rule]:
    """Rules of this name, or with it as their number, that the actor sees; a few at most."""
    wanted = _c.name == name
    if name.isascii() and name.isdigit() and len(name) < 19:
        wanted = sa.or_(wanted, _c.id == int(name))
    statement = _SELECT.where(wanted).order_by(_c.id).limit(10)
    if tenant is not None:
        statement = statement.where(_c.tenant == tenant)
    if lock:
        statement = statement.with_for_update()
    return [_rule(row) for row in connection.execute(walled(statement, _c.tenant, actor))]


def insert(
    connection: Connection, *, tenant: str, name: str, document: Mapping[str, Any], at: int
) -> int:
    """Raises ``IntegrityError`` when the tenant has one of this name."""
    values = {
        "tenant": tenant,
        "name": name,
        "definition": json.dumps(document),
        "created_at": at,
        "updated_at": at,
    }
    return int(connection.execute(sa.insert(rules).values(values).returning(_c.id)).scalar_one())


def replace(
    connection: Connection, number: int, *, enabled: bool, document: Mapping[str, Any], at: int
) -> None:
    connection.execute(
        sa.update(rules)
        .where(_c.id == number)
        .values(
            enabled=enabled,
            definition=json.dumps(document),
            version=_c.version + 1,
            updated_at=at,
        )
    )


def delete(connection: Connection, number: int) -> None:
    """With its states."""
    connection.execute(sa.delete(rules).where(_c.id == number))


def open_keys(connection: Connection, number: int) -> list[str]:
    """Keys of the open alerts of a rule."""
    a = alerts.c
    found = sa.select(a.key).where(a.rule_id == number, a.cleared_at.is_(None), a.source == "rule")
    return list(connection.execute(found).scalars())


# ---------------------------------------------------------------------- states

_PACK = ("phase", "since", "hot", "held", "step", "reach")


def pack(state: State) -> str:
    return msgspec.json.encode([int(getattr(state, name)) for name in _PACK]).decode()


def unpack(text: str, *, again: bool) -> State:
    phase, since, hot, held, step, reach = msgspec.json.decode(text, type=list[int])
    return State(Phase(phase), since, hot, held, step, reach, again)


class Stored(NamedTuple):
    """A stored state. ``rearmed``: its alert was cleared by a person, and no evaluation has
    seen that."""

    rule: int
    device: int
    state: State
    rearmed: bool


def states(connection: Connection) -> list[Stored]:
    """All of them."""
    s = rule_states.c
    found = connection.execute(sa.select(s.rule_id, s.device_id, s.record, s.rearmed))
    return [Stored(r[0], r[1], unpack(r[2], again=bool(r[3])), bool(r[3])) for r in found]


def rearmed(connection: Connection) -> list[tuple[int, int]]:
    """(rule, device) whose alert was cleared by a person."""
    s = rule_states.c
    return [
        (r[0], r[1]) for r in connection.execute(sa.select(s.rule_id, s.device_id).where(s.rearmed))
    ]


def of_device(connection: Connection, device: int) -> int:
    """How many rules have a state with a device."""
    s = rule_states.c
    counted = sa.select(sa.func.count()).select_from(rule_states).where(s.device_id == device)
    return int(connection.execute(counted).scalar_one())


def rearm(connection: Connection, rule: int, device: int) -> None:
    """A person has cleared the alert of a rule and a device."""
    s = rule_states.c
    connection.execute(
        sa.update(rule_states).where(s.rule_id == rule, s.device_id == device).values(rearmed=True)
    )


def delete_states(connection: Connection, rule: int) -> None:
    connection.execute(sa.delete(rule_states).where(rule_states.c.rule_id == rule))


_OF_STATE = {
    "rule_id": sa.BigInteger(),
    "device_id": sa.BigInteger(),
    "record": sa.Text(),
    "rearmed": sa.Integer(),
}


def write_states(connection: Connection, changed: Mapping[tuple[int, int], State]) -> None:
    """Of rules and devices that are there still."""
    gone = [
        {"r": rule, "d": device}
        for (rule, device), state in sorted(changed.items())
        if state == CALM
    ]
    if gone:
        connection.execute(_DELETE_STATE, gone)
    kept = [
        [rule, device, pack(state), int(state.rearmed)]
        for (rule, device), state in sorted(changed.items())
        if state != CALM
    ]
    if kept:
        connection.execute(_upsert(connection.dialect.name), parameter(kept))


_DELETE_STATE = sa.delete(rule_states).where(
    rule_states.c.rule_id == sa.bindparam("r"), rule_states.c.device_id == sa.bindparam("d")
)


def _upsert(dialect: str) -> sa.TextClause:
    """One statement for any number of rows."""
    if dialect == "postgresql":
        table = (
            "SELECT (value->>0)::bigint AS r, (value->>1)::bigint AS d, value->>2 AS t,"
            " (value->>3)::int AS again FROM jsonb_array_elements(CAST(:given AS jsonb))"
        )
    else:
        table = (
            "SELECT json_extract(value, '$[0]') AS r, json_extract(value, '$[1]') AS d,"
            " json_extract(value, '$[2]') AS t, json_extract(value, '$[3]') AS again"
            " FROM json_each(:given)"
        )
    return sa.text(
        "INSERT INTO rule_states (rule_id, device_id, record, rearmed)"  # noqa: S608 - constants
        f" SELECT g.r, g.d, g.t, g.again = 1 FROM ({table}) g"
        " JOIN devices ON devices.id = g.d JOIN rules ON rules.id = g.r WHERE 1 = 1"
        " ON CONFLICT (rule_id, device_id) DO UPDATE SET record = excluded.record,"
        " rearmed = excluded.rearmed"
    )


# ---------------------------------------------------------------------- messages


def queued(connection: Connection, most: int) -> list[Span]:
    """Spans of messages that no rule has seen, about ``most`` messages, the oldest first."""
    q = rule_queue.c
    chosen: list[Span] = []
    total = 0
    for row in connection.execute(
        sa.select(q.first_id, q.last_id, q.first_ts, q.last_ts).order_by(q.first_id).limit(AT_ONCE)
    ):
        span = Span(*row)
        if chosen and total + span.ids > most:
            break
        chosen.append(span)
        total += span.ids
    return chosen


def waiting(connection: Connection) -> int:
    """Messages that no rule has seen, about."""
    q = rule_queue.c
    size = sa.func.coalesce(sa.func.sum(q.last_id - q.first_id + 1), 0)
    return int(connection.execute(sa.select(size)).scalar_one())


def take(connection: Connection, spans: Sequence[Span]) -> bool:
    """Removes spans from the queue; whether all of them were there unchanged."""
    given_spans = given(connection.dialect.name, {"a": sa.BigInteger(), "b": sa.BigInteger()})
    q = rule_queue.c
    mine = sa.select(given_spans.c.a).where(
        given_spans.c.a == q.first_id, given_spans.c.b == q.last_id
    )
    gone = connection.execute(
        sa.delete(rule_queue).where(sa.exists(mine)).returning(q.first_id),
        parameter([[span.first_id, span.last_id] for span in spans]),
    )
    return len(gone.all()) == len(spans)


def forget_queue(connection: Connection) -> None:
    """Nobody has rules any more."""
    connection.execute(sa.delete(rule_queue))


def messages(
    connection: Connection, spans: Sequence[Span], channel_ids: Collection[int]
) -> list[tuple[int, int, int, int, str]]:
    """(device, channel, ts, received_at, payload) in the order of arrival."""
    if not spans or not channel_ids:
        return []
    first, last = min(s.first_id for s in spans), max(s.last_id for s in spans)
    statement = (
        "SELECT device_id, channel_id, ts, received_at, payload FROM messages"  # noqa: S608 - numbers
        f" WHERE channel_id IN ({numbers(channel_ids)})"
    )
    if sum(s.ids for s in spans) == last - first + 1:
        statement += f" AND id BETWEEN {first} AND {last}"
    else:
        ranges = [f"id BETWEEN {s.first_id} AND {s.last_id}" for s in _joined(spans)]
        statement += f" AND ({' OR '.join(ranges)})"
    if connection.dialect.name == "postgresql":
        whole = Span(first, last, min(s.first_ts for s in spans), max(s.last_ts for s in spans))
        prepare_index(connection, whole)
        # While a week is too new to have statistics, the planner would read all of it.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        statement += f" AND ts BETWEEN {whole.first_ts} AND {whole.last_ts}"
    return fetch(connection, statement + " ORDER BY id")


def _joined(spans: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: one.first_id):
        if found and found[-1].last_id + 1 == span.first_id:
            before = found[-1]
            found[-1] = Span(before.first_id, span.last_id, before.first_ts, span.last_ts)
        else:
            found.append(span)
    return found


def newest_before(
    connection: Connection, wanted: Iterable[tuple[int, int]], *, since: int, before_id: int
) -> dict[tuple[int, int], int]:
    """(device, channel) → the newest time among its messages that were evaluated.

    Args:
        since: epoch milliseconds; older ones are not looked at.
        before_id: the first message that was not.
    """
    pairs = sorted(wanted)
    found: dict[tuple[int, int], int] = {}
    for start in range(0, len(pairs), AT_ONCE):
        some = ",".join([f"({d},{c})" for d, c in pairs[start : start + AT_ONCE]])
        rows = fetch(
            connection,
            f"WITH wanted(d, c) AS (VALUES {some})"  # noqa: S608 - numbers
            " SELECT d, c, (SELECT ts FROM messages WHERE device_id = d AND channel_id = c"
            f" AND ts > {since} AND id < {before_id} ORDER BY ts DESC LIMIT 1) FROM wanted",
        )
        found.update({(d, c): ts for d, c, ts in rows if ts is not None})
    return found


def heard(
    connection: Connection, tenants: Collection[str], channel_ids: Collection[int]
) -> Sequence[Any]:
    """(device, channel, received_at, payload): the newest message of each channel."""
    if not tenants or not channel_ids:
        return []
    c = latest.c
    return connection.execute(
        sa.select(c.device_id, c.channel_id, c.received_at, c.payload)
        .join(devices, devices.c.id == c.device_id)
        .where(devices.c.tenant.in_(list(tenants)), c.channel_id.in_(list(channel_ids)))
    ).all()
