"""SQL of unknown devices, decisions and rules. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.discovery.model import Action, Rule, State
from mooring.identity.actor import Actor, walled
from mooring.store.room import require_room
from mooring.store.schema import devices, discovery_decisions, discovery_rules, strangers

__all__ = [
    "Due",
    "Row",
    "add_rule",
    "answered",
    "count_use",
    "crowded",
    "decide",
    "delete",
    "delete_over",
    "due",
    "find",
    "forget_known",
    "has_work",
    "page",
    "refused",
    "remove_rule",
    "rule_by_id",
    "rule_of",
    "rules_of",
    "rules_page",
    "tenants_with",
    "trim_refused",
    "undecided",
]

Key = tuple[str, str, str]  # dialect, tenant, name
AT_ONCE = 200

_s, _d, _r = strangers.c, discovery_decisions.c, discovery_rules.c


class Row(NamedTuple):
    """An unknown device, and the decision about it that is in force."""

    dialect: str
    tenant: str
    name: str
    first_seen_at: int
    last_seen_at: int
    messages: int
    last_topic: str
    registered_at: int | None
    registration: bytes | None
    state: str | None
    decided_at: int | None
    until: int | None
    actor: str | None
    reason: str | None
    claim_id: int | None


class Due(NamedTuple):
    """A registration that is not answered yet."""

    dialect: str
    tenant: str
    name: str
    registered_at: int
    state: str | None


def _joined(at: int) -> sa.Join:
    """Unknown devices with the decisions that are in force."""
    return strangers.outerjoin(
        discovery_decisions,
        sa.and_(
            _d.dialect == _s.dialect, _d.tenant == _s.tenant, _d.name == _s.name, _d.until > at
        ),
    )


def _rows(at: int) -> sa.Select[Any]:
    return sa.select(
        _s.dialect,
        _s.tenant,
        _s.name,
        _s.first_seen_at,
        _s.last_seen_at,
        _s.messages,
        _s.last_topic,
        _s.registered_at,
        _s.registration,
        _d.state,
        _d.decided_at,
        _d.until,
        _d.actor,
        _d.reason,
        _d.claim_id,
    ).select_from(_joined(at))


def page(
    connection: Connection,
    actor: Actor,
    *,
    at: int,
    limit: int,
    after: Sequence[int | str] | None = None,
    tenant: str | None = None,
    dialect: str | None = None,
    state: State | None = None,
) -> list[Row]:
    """Who was heard last comes first."""
    statement = _rows(at).order_by(_s.last_seen_at.desc(), _s.dialect, _s.tenant, _s.name)
    if after is not None:
        seen, *names = after
        behind = sa.tuple_(_s.dialect, _s.tenant, _s.name) > sa.tuple_(*names)
        statement = statement.where(
            sa.or_(_s.last_seen_at < seen, sa.and_(_s.last_seen_at == seen, behind))
        )
    if tenant is not None:
        statement = statement.where(_s.tenant == tenant)
    if dialect is not None:
        statement = statement.where(_s.dialect == dialect)
    if state is not None:
        statement = statement.where(sa.func.coalesce(_d.state, str(State.PENDING)) == str(state))
    rows = connection.execute(walled(statement.limit(limit), _s.tenant, actor))
    return [Row(*row) for row in rows]


def find(
    connection: Connection,
    actor: Actor,
    *,
    at: int,
    name: str,
    dialect: str | None,
    tenant: str | None,
) -> list[Row]:
    """Unknown devices of that name, at most ten."""
    statement = _rows(at).where(_s.name == name).limit(10)
    if dialect is not None:
        statement = statement.where(_s.dialect == dialect)
    if tenant is not None:
        statement = statement.where(_s.tenant == tenant)
    return [Row(*row) for row in connection.execute(walled(statement, _s.tenant, actor))]


# ------------------------------------------------------------------ decisions


def decide(connection: Connection, key: Key, values: dict[str, Any]) -> None:
    """Replaces the decision about a device.

    Raises:
        IntegrityError: another one is made at the same moment.
    """
    named = dict(zip(("dialect", "tenant", "name"), key, strict=True))
    connection.execute(sa.delete(discovery_decisions).filter_by(**named))
    connection.execute(sa.insert(discovery_decisions).values(**named, **values))


def refused(connection: Connection, tenant: str, dialect: str, key: str, at: int) -> bool:
    """Whether the device with this key is refused now."""
    return bool(
        connection.execute(
            sa.select(
                sa.exists().where(
                    _d.tenant == tenant,
                    _d.dialect == dialect,
                    _d.key == key,
                    _d.state == str(State.REFUSED),
                    _d.until > at,
                )
            )
        ).scalar()
    )


def trim_refused(connection: Connection, tenant: str, most: int) -> int:
    """Keeps the newest refusals of a tenant; how many were removed."""
    mine = (_d.tenant == tenant, _d.state == str(State.REFUSED))
    oldest = sa.select(_d.id).where(*mine).order_by(_d.id.desc()).offset(most).limit(1)
    last = connection.execute(oldest).scalar()
    if last is None:
        return 0
    return connection.execute(sa.delete(discovery_decisions).where(*mine, _d.id <= last)).rowcount


def delete_over(connection: Connection, at: int) -> None:
    """Decisions that have ended."""
    connection.execute(sa.delete(discovery_decisions).where(_d.until <= at))


# ------------------------------------------------------------------ the list


def forget_known(connection: Connection, tenanted: Iterable[str]) -> None:
    """Removes those that are devices now, and what was decided about them.

    Args:
        tenanted: the dialects whose topics name the tenant.
    """
    for table in (strangers, discovery_decisions):
        c = table.c
        known = sa.exists().where(
            devices.c.name.in_([c.name, sa.func.lower(sa.func.replace(c.name, ":", ""))]),
            devices.c.dialect == c.dialect,
            sa.or_(devices.c.tenant == c.tenant, c.dialect.not_in(list(tenanted))),
        )
        connection.execute(sa.delete(table).where(known))


def has_work(connection: Connection, at: int) -> bool:
    """Whether there is an unknown device, or a decision that has ended."""
    some = sa.exists(sa.select(sa.literal(1)).select_from(strangers))
    over = sa.exists().where(_d.until <= at)
    return bool(connection.execute(sa.select(sa.or_(some, over))).scalar())


def crowded(connection: Connection, most: int, tried: int) -> dict[str, list[tuple[Key, bool]]]:
    """Tenants with more than ``most`` unknown devices, or more than ``tried`` that only tried to
    log in: their keys, and whether they did more than that, the newest first."""
    only_tried = sa.and_(_s.messages == 0, _s.registered_at.is_(None))
    number = sa.func.count()
    statement = (
        sa.select(_s.tenant)
        .group_by(_s.tenant)
        .having(sa.or_(number > most, sa.func.sum(sa.case((only_tried, 1), else_=0)) > tried))
    )
    found: dict[str, list[tuple[Key, bool]]] = {}
    for tenant in connection.execute(statement).scalars():
        rows = connection.execute(
            sa.select(_s.dialect, _s.tenant, _s.name, sa.not_(only_tried))
            .where(_s.tenant == tenant)
            .order_by(_s.last_seen_at.desc(), _s.name)
        )
        found[tenant] = [((row[0], row[1], row[2]), bool(row[3])) for row in rows]
    return found


def delete(connection: Connection, keys: Sequence[Key]) -> int:
    """Removes unknown devices; how many there were."""
    gone = 0
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        which = sa.tuple_(_s.dialect, _s.tenant, _s.name).in_(some)
        gone += connection.execute(sa.delete(strangers).where(which)).rowcount
    return gone


def undecided(connection: Connection, tenant: str, at: int, limit: int) -> list[Key]:
    """Pending devices of a tenant, the newest first."""
    statement = (
        sa.select(_s.dialect, _s.tenant, _s.name)
        .select_from(_joined(at))
        .where(_s.tenant == tenant, _d.id.is_(None))
        .order_by(_s.last_seen_at.desc())
        .limit(limit)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(statement)]


def due(connection: Connection, at: int, limit: int) -> list[Due]:
    """Registrations that are not answered, the oldest first."""
    statement = (
        sa.select(_s.dialect, _s.tenant, _s.name, _s.registered_at, _d.state)
        .select_from(_joined(at))
        .where(
            _s.registered_at.is_not(None),
            sa.or_(_s.answered_at.is_(None), _s.answered_at < _s.registered_at),
        )
        .order_by(_s.registered_at, _s.name)
        .limit(limit)
    )
    return [Due(*row) for row in connection.execute(statement)]


def answered(connection: Connection, keys: Sequence[Key], at: int) -> None:
    """These are answered as of ``at``."""
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        which = sa.tuple_(_s.dialect, _s.tenant, _s.name).in_(some)
        connection.execute(sa.update(strangers).where(which).values(answered_at=at))


# ------------------------------------------------------------------ rules

_RULE = (
    _r.id,
    _r.tenant,
    _r.dialect,
    _r.pattern,
    _r.action,
    _r.per_day,
    _r.created_at,
    _r.created_by,
    _r.day,
    _r.used_today,
    _r.used,
)


def _rule(row: Sequence[Any]) -> Rule:
    values = list(row)
    values[4] = Action(values[4])
    return Rule(*values)


def add_rule(connection: Connection, values: dict[str, Any], most: int) -> Rule:
    """Raises ``Conflict`` (``limit_reached``) where a tenant has ``most`` rules."""
    require_room(
        connection,
        discovery_rules,
        most,
        _r.tenant == values["tenant"],
        what="discovery rules of one tenant",
        setting="discovery_rules_max_per_tenant",
    )
    added = connection.execute(sa.insert(discovery_rules).values(values).returning(*_RULE))
    return _rule(added.one())


def rules_page(connection: Connection, actor: Actor, *, limit: int, after: int = 0) -> list[Rule]:
    statement = sa.select(*_RULE).where(_r.id > after).order_by(_r.id).limit(limit)
    return [_rule(row) for row in connection.execute(walled(statement, _r.tenant, actor))]


def rules_of(connection: Connection, tenant: str) -> list[Rule]:
    """All rules of a tenant, in their order."""
    rows = connection.execute(sa.select(*_RULE).where(_r.tenant == tenant).order_by(_r.id))
    return [_rule(row) for row in rows]


def tenants_with(connection: Connection, action: Action) -> list[str]:
    """Tenants that have rules of this kind."""
    statement = sa.select(_r.tenant).where(_r.action == str(action)).distinct().order_by(_r.tenant)
    return list(connection.execute(statement).scalars())


def rule_by_id(connection: Connection, actor: Actor, number: int) -> Rule | None:
    statement = sa.select(*_RULE).where(_r.id == number)
    row = connection.execute(walled(statement, _r.tenant, actor)).first()
    return None if row is None else _rule(row)


def rule_of(connection: Connection, digest: str, *, lock: bool) -> Rule | None:
    """The rule of a fleet code. ``lock``: nobody else uses it until the transaction ends."""
    statement = sa.select(*_RULE).where(_r.digest == digest)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return None if row is None else _rule(row)


def count_use(connection: Connection, rule: Rule, at: int) -> None:
    """One more device was accepted."""
    day = at // 86_400_000
    connection.execute(
        sa.update(discovery_rules)
        .where(_r.id == rule.id)
        .values(
            day=day,
            used_today=sa.case((_r.day == day, _r.used_today + 1), else_=1),
            used=_r.used + 1,
        )
    )


def remove_rule(connection: Connection, number: int) -> None:
    connection.execute(sa.delete(discovery_rules).where(_r.id == number))
