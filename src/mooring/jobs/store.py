"""SQL of jobs. The caller decides on transactions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.groups.selector import Selector
from mooring.identity.actor import Actor, walled
from mooring.jobs.model import Job, Started, Target
from mooring.jobs.rules import Counts, Plan, State, TargetState
from mooring.jobs.selection import Chosen
from mooring.later import later
from mooring.secrets.instance import Instance
from mooring.store.given import given, parameter
from mooring.store.schema import devices, job_targets, jobs

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "AT_ONCE",
    "WORK",
    "HandedOver",
    "add_targets",
    "count_outcomes",
    "counted_with",
    "delete_some",
    "due",
    "end_handed_over",
    "end_waiting",
    "find",
    "forget_finished",
    "handed_over",
    "insert",
    "listed",
    "next_waiting",
    "one",
    "open_of_tenant",
    "place",
    "put_back",
    "removed",
    "set_removed",
    "set_started",
    "targets",
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


def write(connection: Connection, job: Job) -> None:
    """A job as it is now."""
    values = _values(job)
    fixed = ("id", "tenant", "kind", "title", "actor", "origin", "reason", "created_at")
    connection.execute(
        sa.update(jobs)
        .where(_j.id == job.id)
        .values({name: value for name, value in values.items() if name not in fixed})
    )


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
    statement = _SELECT.where(_j.id == number)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
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


# ---------------------------------------------------------------------- targets, for people


def targets(
    connection: Connection,
    job: int,
    *,
    limit: int,
    after: tuple[int, int] | None = None,
    states: Sequence[TargetState] = (),
) -> list[Target]:
    """Targets of a job in its order; ``after``: rank and device of the last one shown."""
    statement = sa.select(job_targets).where(_t.job_id == job)
    if states:
        statement = statement.where(_t.state.in_([state.value for state in states]))
    if after is not None:
        place = sa.tuple_(sa.literal(after[0], sa.BigInteger), sa.literal(after[1], sa.BigInteger))
        statement = statement.where(sa.tuple_(_t.rank, _t.device_id) > place)
    rows = connection.execute(statement.order_by(_t.rank, _t.device_id).limit(limit))
    return [
        Target(
            row.device_id,
            row.device,
            row.rank,
            TargetState(row.state),
            row.cause,
            row.words,
            row.reference,
            row.attempts,
            row.handed_at,
            row.finished_at,
        )
        for row in rows
    ]


def place(connection: Connection, job: int, device: str) -> tuple[int, int] | None:
    """Rank and number of a device of a job."""
    row = connection.execute(
        sa.select(_t.rank, _t.device_id).where(_t.job_id == job, _t.device == device).limit(1)
    ).first()
    return None if row is None else (row[0], row[1])


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


def add_targets(connection: Connection, job: int, chosen: Sequence[tuple[Chosen, int]]) -> int:
    """Lists devices with their ranks as targets; how many were not listed yet."""
    if not chosen:
        return 0
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    names = ("job_id", "device_id", "device", "rank", "state", "counted")
    new = given(connection.dialect.name, {name: _t[name].type for name in names})
    waiting = TargetState.WAITING.value
    statement = (
        insert(job_targets)
        # ``WHERE true``: SQLite reads ON CONFLICT as part of a join otherwise.
        .from_select(list(names), sa.select(*(new.c[name] for name in names)).where(sa.true()))
        .on_conflict_do_nothing()
        .returning(_t.device_id)
    )
    rows = [[job, one.number, one.name, rank, waiting, waiting] for one, rank in chosen]
    return len(connection.execute(statement, parameter(rows)).all())


def count_outcomes(connection: Connection, job: Job, limit: int) -> tuple[Job, bool]:
    """The job with the states that its targets have entered since the last count; whether
    there may be more of them.

    A row that another transaction is changing is left for the next look.
    """
    changed = connection.execute(
        sa.select(_t.device_id, _t.state, _t.counted)
        .where(_t.job_id == job.id, sa.text("state <> counted"))
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not changed:
        return job, False
    statement = _updating(connection.dialect.name, ("counted",))
    connection.execute(statement, parameter([job.id, row[0], row[1]] for row in changed))
    moved: Counter[str] = Counter()
    for _, state, counted in changed:
        moved[state] += 1
        moved[counted] -= 1
    return counted_with(job, moved), len(changed) == limit


_UPDATES: dict[tuple[str, tuple[str, ...]], Any] = {}


def _updating(engine: str, names: tuple[str, ...]) -> Any:
    """Sets columns of given targets: job, device and the values. The job is given with each row,
    not once: otherwise SQLite looks at all targets of the job for each of them.

    ``attempts`` is added to what is there.
    """
    found = _UPDATES.get((engine, names))
    if found is None:
        keys = ("job_id", "device_id")
        new = given(engine, {name: _t[name].type for name in (*keys, *names)})
        values: dict[str, Any] = {name: new.c[name] for name in names}
        if "attempts" in values:
            values["attempts"] = _t.attempts + new.c.attempts
        found = _UPDATES[engine, names] = (
            sa.update(job_targets).where(*(_t[key] == new.c[key] for key in keys)).values(values)
        )
    return found


def counted_with(job: Job, moved: Mapping[str, int]) -> Job:
    """The job with other counts."""
    counts = {name: getattr(job.counts, name) + moved.get(name, 0) for name in _COUNTS}
    return replace(job, counts=Counts(**counts))


def next_waiting(connection: Connection, job: int, limit: int) -> list[int]:
    """Devices that wait, in the order of the job."""
    statement = (
        sa.select(_t.device_id)
        .where(_t.job_id == job, _t.state == TargetState.WAITING.value)
        .order_by(_t.rank)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


_STARTED = (
    "state",
    "counted",
    "cause",
    "words",
    "reference",
    "mark",
    "attempts",
    "handed_at",
    "finished_at",
)


def set_started(
    connection: Connection, job: Job, results: Sequence[tuple[int, Started]], at: int
) -> Job:
    """What starting these waiting targets did, counted; the job with its counts."""
    rows, moved = [], Counter[str]()
    for device, result in results:
        if result.state is TargetState.WAITING:
            continue
        over = result.state is not TargetState.HANDED_OVER
        rows.append(
            [
                job.id,
                device,
                result.state.value,
                result.state.value,
                result.cause,
                result.words,
                result.reference,
                result.mark,
                1,
                at,
                at if over else None,
            ]
        )
        moved[result.state.value] += 1
        moved[TargetState.WAITING.value] -= 1
    if not rows:
        return job
    connection.execute(_updating(connection.dialect.name, _STARTED), parameter(rows))
    return counted_with(job, moved)


def end_waiting(connection: Connection, job: Job, state: TargetState, cause: str, at: int) -> Job:
    """Some of the waiting targets are not started any more; the job with its counts."""
    numbers = next_waiting(connection, job.id, AT_ONCE)
    return _end(connection, job, numbers, (TargetState.WAITING, state), cause=cause, at=at)


def end_handed_over(
    connection: Connection, job: Job, state: TargetState, cause: str, at: int
) -> Job:
    """Some of the targets without an outcome get one; the job with its counts."""
    numbers = [one.device_id for one in handed_over(connection, job.id, -1, AT_ONCE)]
    return _end(connection, job, numbers, (TargetState.HANDED_OVER, state), cause=cause, at=at)


def put_back(connection: Connection, job: Job) -> tuple[Job, bool]:
    """Some of the failed targets wait again; the job with its counts, and whether there were
    any."""
    statement = (
        sa.select(_t.device_id)
        .where(_t.job_id == job.id, _t.state == TargetState.FAILED.value)
        .order_by(_t.rank)
        .limit(AT_ONCE)
    )
    numbers = list(connection.execute(statement).scalars())
    way = (TargetState.FAILED, TargetState.WAITING)
    return _end(connection, job, numbers, way, cause="", at=None), bool(numbers)


def _end(
    connection: Connection,
    job: Job,
    numbers: Sequence[int],
    way: tuple[TargetState, TargetState],
    *,
    cause: str,
    at: int | None,
) -> Job:
    if not numbers:
        return job
    before, after = way
    again = {"reference": None, "words": ""} if after is TargetState.WAITING else {}
    changed = connection.execute(
        sa.update(job_targets)
        .where(
            _t.job_id == job.id,
            _t.device_id.in_(numbers),
            _t.state == before.value,
            _t.counted == before.value,
        )
        .values(state=after.value, counted=after.value, cause=cause, finished_at=at, **again)
    ).rowcount
    return counted_with(job, {before.value: -changed, after.value: changed})


class HandedOver(NamedTuple):
    """A target without an outcome."""

    device_id: int
    reference: str | None
    mark: int
    rank: int


def handed_over(connection: Connection, job: int, after: int, limit: int) -> list[HandedOver]:
    """Targets without an outcome, behind a rank, in the order of the job."""
    statement = (
        sa.select(_t.device_id, _t.reference, _t.mark, _t.rank)
        .where(_t.job_id == job, _t.state == TargetState.HANDED_OVER.value, _t.rank > after)
        .order_by(_t.rank)
        .limit(limit)
    )
    return [HandedOver(*row) for row in connection.execute(statement)]


def set_removed(connection: Connection, job: int, numbers: Sequence[int], at: int) -> None:
    """Targets whose devices are gone are over; they are counted at the next look."""
    connection.execute(
        sa.update(job_targets)
        .where(
            _t.job_id == job,
            _t.device_id.in_(numbers),
            _t.state == TargetState.HANDED_OVER.value,
        )
        .values(state=TargetState.SKIPPED.value, cause="removed", finished_at=at)
    )


def removed(connection: Connection, job: int) -> list[int]:
    """Some targets without an outcome whose devices are gone."""
    statement = (
        sa.select(_t.device_id)
        .outerjoin(devices, devices.c.id == _t.device_id)
        .where(_t.job_id == job, _t.state == TargetState.HANDED_OVER.value, devices.c.id.is_(None))
        .limit(AT_ONCE)
    )
    return list(connection.execute(statement).scalars())


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
