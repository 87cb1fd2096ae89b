"""The newest rows of lists: so that an open page can offer those that came since.

The topic is ``newest:LIST``, or ``newest:LIST?QUERY`` with the filters of the list's address; its
value ``ids`` are the newest rows. A page compares them with the largest number that it has seen,
or with the rows that it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa

from mooring.alerts.model import Severity
from mooring.alerts.service import Alerts
from mooring.alerts.store import Wanted
from mooring.commands.service import Commands
from mooring.credentials.claims.service import Claims
from mooring.dashboard.data import fleet
from mooring.dashboard.data.newer import ALERTS, COMMANDS, row_of_code, row_of_unknown
from mooring.dashboard.forms import Query
from mooring.dashboard.live.ask import Ask
from mooring.discovery.model import State
from mooring.discovery.service import Discovery
from mooring.errors import Invalid
from mooring.fleet.service import DeviceLists
from mooring.identity.actor import Role, walled
from mooring.jobs.service import Jobs
from mooring.ota.rollouts.model import KIND as ROLLOUT
from mooring.store.engine import now_ms
from mooring.store.schema import audit, dead_letters

__all__ = ["LISTS", "SHOWN", "newest"]

SHOWN = 50
"""Rows of one list that are looked at."""
FIELDS = 100  # names and values of a query


def newest(ask: Ask) -> dict[str, Any]:
    """Numbers or names of the newest rows of a list.

    Raises:
        Invalid: there is no such list, or it has too many filters.
    """
    name, _, given = ask.argument.partition("?")
    load = LISTS.get(name)
    if load is None:
        raise Invalid(f"There is no list {name[:40]!a}.", code="invalid_topic")
    try:
        pairs = parse_qsl(given, max_num_fields=FIELDS)
    except ValueError as exc:
        raise Invalid(f"A list has at most {FIELDS} filters.", code="invalid_topic") from exc
    return {"ids": list(load(ask, Query(pairs)))}


def _devices(ask: Ask, query: Query) -> Sequence[int]:
    wanted, _ = fleet.filter_of(query)
    return ask.app.service(DeviceLists).newest(ask.actor, wanted, limit=SHOWN)


def _rejected(ask: Ask, query: Query) -> Sequence[int]:
    ask.actor.require(Role.VIEWER, ask.actor.tenant)
    c = dead_letters.c
    asked = sa.select(c.id).order_by(c.id.desc()).limit(SHOWN)
    if reason := query.text("reason", max=32):
        asked = asked.where(c.reason == reason)
    with ask.app.database.read() as connection:
        return connection.execute(walled(asked, c.tenant, ask.actor)).scalars().all()


def _audit(ask: Ask, _: Query) -> Sequence[int]:
    ask.actor.require(Role.ADMIN, ask.actor.tenant)
    asked = sa.select(audit.c.id).order_by(audit.c.id.desc()).limit(SHOWN)
    with ask.app.database.read() as connection:
        return connection.execute(walled(asked, audit.c.tenant, ask.actor)).scalars().all()


def _commands(ask: Ask, query: Query) -> Sequence[int]:
    _, states = COMMANDS[query.choice("state", COMMANDS)]
    device = query.text("device") or None
    found = ask.app.service(Commands).listed(ask.actor, device=device, states=states, limit=SHOWN)
    return [one.id for one in found]


def _alerts(ask: Ask, query: Query) -> Sequence[int]:
    severity = query.choice("severity", [one.name.lower() for one in Severity])
    wanted = Wanted(
        opened=ALERTS[query.choice("show", ALERTS)],
        severity=Severity[severity.upper()] if severity else None,
        limit=SHOWN,
    )
    found = ask.app.service(Alerts).listed(ask.actor, wanted, device=query.text("device") or None)
    return [one.id for one in found]


def _jobs(ask: Ask, _: Query) -> Sequence[int]:
    return [one.id for one in ask.app.service(Jobs).listed(ask.actor, limit=SHOWN)]


def _rollouts(ask: Ask, _: Query) -> Sequence[int]:
    found = ask.app.service(Jobs).listed(ask.actor, limit=SHOWN, kind=ROLLOUT)
    return [one.id for one in found]


def _unknown(ask: Ask, _: Query) -> Sequence[str]:
    found = ask.app.service(Discovery).page(ask.actor, limit=SHOWN, state=State.PENDING)
    return [row_of_unknown(one) for one in found]


def _codes(ask: Ask, _: Query) -> Sequence[str]:
    at = now_ms()
    found = ask.app.service(Claims).page(ask.actor, limit=SHOWN)
    return [row_of_code(one, at) for one in found]


LISTS: Mapping[str, Callable[[Ask, Query], Sequence[int | str]]] = {
    "devices": _devices,
    "rejected": _rejected,
    "audit": _audit,
    "commands": _commands,
    "alerts": _alerts,
    "jobs": _jobs,
    "rollouts": _rollouts,
    "unknown": _unknown,
    "codes": _codes,
}
"""Name in the topic → its newest rows, with the rights of the person."""
