"""SQL of jobs. The caller decides on transactions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.groups.selector import Selector
from mooring.identity.actor import Actor, walled
from mooring.jobs.model import Job
from mooring.jobs.rules import Counts, Plan, State
from mooring.later import later
from mooring.secrets.instance import Instance
from mooring.store.schema import job_targets, jobs

with later():
    pass

__all__ = [
    "AT_ONCE",
    "WORK",
    "delete_some",
    "due",
    "find",
    "forget_finished",
    "insert",
    "listed",
    "one",
    "open_of_tenant",
    "write",
]

AT_ONCE = 500
"""Rows in one statement."""

_j, _t = jobs.c, job_targets.c
_COUNTS = tuple(Counts.__dataclass_fields__)
_PLAN = tuple(Plan.__dataclass_fields__)
_PLAIN = (
    "id",
    "tenant",
    "kind",
    "title",
    "why",
    "actor",
    "origin",
    "reason",
    "created_at",
    "expires_at",
    "started_at",
    "finished_at",
    "due_at",
    "prepared_to",
    "wave",
    "wave_over_at",
    "paced_at",
    "forgiven",
    "forgiven_successes",
)
_SELECT = sa.select(jobs)
_ONE = _SELECT.where(_j.id == sa.bindparam("number", type_=sa.BigInteger))
_LOCKED = _ONE.with_for_update()


# ---------------------------------------------------------------------- jobs


def insert(connection: Connection, instance: Instance, job: Job, key: str | None) -> int:
    """A new job; its number. Raises ``IntegrityError`` when one has the same key."""
    values = _values(job) | {
        "what": instance.seal(json.dumps(dict(job.what), ensure_ascii=False)).decode(),
        "selection": json.dumps(job.selection.document(), ensure_ascii=False),
        "request_key": key,
    }
    del values["id"]
    return int(connection.execute(sa.insert(jobs).returning(_j.id), values).scalar_one())


_FIXED = ("id", "tenant", "kind", "title", "actor", "origin", "reason", "created_at")
_WRITE = sa.update(jobs).where(_j.id == sa.bindparam("number", type_=sa.BigInteger))


def write(connection: Connection, job: Job) -> None:
    """A job as it is now."""
    values = {name: value for name, value in _values(job).items() if name not in _FIXED}
    connection.execute(_WRITE, values | {"number": job.id})


def _values(job: Job) -> dict[str, Any]:
    return {
        **{name: getattr(job, name) for name in _PLAIN},
        **{name: getattr(job.plan, name) for name in _PLAN},
        **{name: getattr(job.counts, name) for name in _COUNTS},
        "state": job.state.value,
        "retrying": job.retrying,
        "waves": json.dumps(list(job.plan.waves)),
    }


def one(
    connection: Connection, instance: Instance, number: int, *, lock: bool = False
) -> Job | None:
    """By its number; ``lock``: nobody else changes it in this transaction."""
    row = connection.execute(_LOCKED if lock else _ONE, {"number": number}).first()
    return None if row is None else _job(instance, row)


def find(connection: Connection, instance: Instance, key: str) -> Job | None:
    """By the key of the request that made it."""
    row = connection.execute(_SELECT.where(_j.request_key == key)).first()
    return None if row is None else _job(instance, row)


def listed(
    connection: Connection,
    instance: Instance,
    actor: Actor,
    *,
    limit: int,
    before: int | None = None,
    states: Sequence[State] = (),
    kind: str | None = None,
) -> list[Job]:
    """Those that the actor sees, the newest first."""
    statement = _SELECT
    if states:
        statement = statement.where(_j.state.in_([state.value for state in states]))
    if kind is not None:
        statement = statement.where(_j.kind == kind)
    if before is not None:
        statement = statement.where(_j.id < before)
    statement = walled(statement, _j.tenant, actor)
    rows = connection.execute(statement.order_by(_j.id.desc()).limit(limit))
    return [_job(instance, row) for row in rows]


def open_of_tenant(connection: Connection, tenant: str, most: int) -> int:
    """How many jobs of a tenant are not over; counts to ``most``."""
    some = (
        sa.select(sa.literal(1))
        .where(_j.tenant == tenant, _j.finished_at.is_(None))
        .limit(most)
        .subquery()
    )
    return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def _job(instance: Instance, row: Any) -> Job:
    return Job(
        **{name: getattr(row, name) for name in _PLAIN},
        what=json.loads(instance.unseal_bytes(row.what.encode())),
        selection=Selector.of_document(json.loads(row.selection)),
        plan=Plan(
            **{name: getattr(row, name) for name in _PLAN if name != "waves"},
            waves=tuple(json.loads(row.waves)),
        ),
        state=State(row.state),
        counts=Counts(**{name: getattr(row, name) for name in _COUNTS}),
        retrying=bool(row.retrying),
    )


# ---------------------------------------------------------------------- what is to be done


WORK = (
    "SELECT EXISTS (SELECT 1 FROM jobs WHERE due_at <= :at),"
    " EXISTS (SELECT 1 FROM job_targets WHERE state <> counted),"
    " (SELECT min(due_at) FROM jobs)"
)
"""For ``Lookout``, at a time ``at``: whether time alone makes a job move, whether an outcome is not
counted yet, and when time makes the next job move."""


def due(connection: Connection, at: int, limit: int) -> list[tuple[int, str]]:
    """(job, tenant) of those that may move now."""
    timed = sa.select(_j.id, _j.tenant).where(_j.due_at <= at)
    told = (
        sa.select(_j.id, _j.tenant)
        .join(job_targets, _t.job_id == _j.id)
        .where(sa.text("job_targets.state <> job_targets.counted"))
        .distinct()
    )
    rows = connection.execute(timed.union(told).limit(limit))
    return [(row[0], row[1]) for row in rows]


# ---------------------------------------------------------------------- what is kept


def forget_finished(connection: Connection, kept: int, before: int) -> list[int]:
    """Some jobs that are over and are not kept any more.

    Args:
        kept: finished jobs of one tenant.
        before: epoch milliseconds; what was over then is not kept.
    """
    ranked = (
        sa.select(
            _j.id,
            _j.finished_at,
            sa.func.row_number()
            .over(partition_by=_j.tenant, order_by=[_j.finished_at.desc(), _j.id.desc()])
            .label("place"),
        )
        .where(_j.finished_at.is_not(None))
        .subquery()
    )
    c = ranked.c
    statement = sa.select(c.id).where(sa.or_(c.place > kept, c.finished_at < before)).limit(100)
    return list(connection.execute(statement).scalars())


def delete_some(connection: Connection, job: int) -> bool:
    """Deletes targets of a job, and with the last ones the job; whether it is gone."""
    some = sa.select(_t.device_id).where(_t.job_id == job).limit(AT_ONCE)
    numbers = list(connection.execute(some).scalars())
    connection.execute(sa.delete(job_targets).where(_t.job_id == job, _t.device_id.in_(numbers)))
    if len(numbers) == AT_ONCE:
        return False
    connection.execute(sa.delete(jobs).where(_j.id == job))
    return True
