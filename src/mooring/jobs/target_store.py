"""SQL of the targets of jobs: one row for each device. The caller decides on transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.jobs.model import Job, Started, Target
from mooring.jobs.rules import Counts, TargetState
from mooring.jobs.selection import Chosen
from mooring.later import later
from mooring.store.given import given, parameter
from mooring.store.schema import devices, job_targets

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "AT_ONCE",
    "HandedOver",
    "add_targets",
    "count_outcomes",
    "counted_with",
    "end_handed_over",
    "end_waiting",
    "handed_over",
    "next_waiting",
    "place",
    "put_back",
    "removed",
    "set_removed",
    "set_started",
    "targets",
]

AT_ONCE = 500
"""Rows in one statement."""

_t = job_targets.c
_COUNTS = tuple(Counts.__dataclass_fields__)


# ---------------------------------------------------------------------- for people


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


# ---------------------------------------------------------------------- for the worker


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
