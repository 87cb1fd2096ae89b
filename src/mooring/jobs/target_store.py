"""SQL of the targets of jobs: one row for each device. The caller decides on transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.jobs.model import Job, Started, Target
from mooring.jobs.rules import Counts, Facts, TargetState
from mooring.jobs.selection import Chosen
from mooring.later import later
from mooring.store.given import given, parameter
from mooring.store.schema import devices, job_targets

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "AT_ONCE",
    "Candidate",
    "HandedOver",
    "add_targets",
    "candidates",
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
    "times",
    "wake",
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
            row.not_before,
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


# Statements of every turn are put together once: that costs more than running them.
_JOB = _t.job_id == sa.bindparam("job", type_=sa.BigInteger)
_AT = sa.bindparam("at", type_=sa.BigInteger)
_MOST = sa.bindparam("most", type_=sa.Integer)
_CHANGED = (
    sa.select(_t.device_id, _t.state, _t.counted)
    .where(_JOB, sa.text("state <> counted"))
    .limit(_MOST)
    .with_for_update(skip_locked=True)
)


def count_outcomes(connection: Connection, job: Job, limit: int) -> tuple[Job, bool]:
    """The job with the states that its targets have entered since the last count; whether
    there may be more of them.

    A row that another transaction is changing is left for the next look.
    """
    changed = connection.execute(_CHANGED, {"job": job.id, "most": limit}).all()
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


class Candidate(NamedTuple):
    """A target that may be started now."""

    device_id: int
    state: TargetState
    cause: str


_CANDIDATE = (_t.device_id, _t.state, _t.cause)
_WAITING = (
    sa.select(*_CANDIDATE, _t.rank)
    .where(_JOB, _t.state == TargetState.WAITING.value)
    .order_by(_t.rank)
    .limit(_MOST)
)
# Two statements: each reads its rows alone, however many wait for another time.
_STARTABLE = (_WAITING.where(_t.not_before.is_(None)), _WAITING.where(_t.not_before <= _AT))
_SETTLED = _t.counted == _t.state
"""Of skipped targets: one that is not counted yet is left for the next look."""
_SKIPPED = (
    sa.select(*_CANDIDATE)
    .where(_JOB, _t.not_before <= _AT, _t.state == TargetState.SKIPPED.value, _SETTLED)
    .order_by(_t.not_before, _t.rank)
    .limit(_MOST)
)


def candidates(connection: Connection, job: int, at: int, limit: int) -> list[Candidate]:
    """Waiting targets whose time has come, in the order of the job, and then skipped ones that are
    judged again."""
    asked = {"job": job, "at": at, "most": limit}
    rows = [row for statement in _STARTABLE for row in connection.execute(statement, asked)]
    rows = sorted(rows, key=lambda row: row.rank)[:limit]
    if len(rows) < limit:
        rows += connection.execute(_SKIPPED, asked | {"most": limit - len(rows)})
    return [Candidate(row[0], TargetState(row[1]), row[2]) for row in rows]


_AHEAD = _t.not_before > _AT
_IS_WAITING = _t.state == TargetState.WAITING.value
_TIMES = sa.select(
    sa.func.sum(sa.case((sa.and_(_IS_WAITING, _AHEAD), 1), else_=0)),
    sa.func.sum(sa.case((sa.or_(_IS_WAITING, _AHEAD), 0), else_=1)),
    sa.func.min(sa.case((_AHEAD, _t.not_before))),
).where(
    _JOB,
    _t.not_before.is_not(None),
    sa.or_(_IS_WAITING, sa.and_(_t.state == TargetState.SKIPPED.value, _SETTLED)),
)


def times(connection: Connection, job: int, at: int) -> Facts:
    """How many targets wait for a time, how many skipped ones are judged again now, and when that
    changes."""
    row = connection.execute(_TIMES, {"job": job, "at": at}).one()
    return Facts(later=int(row[0] or 0), again=int(row[1] or 0), next_at=row[2])


def wake(connection: Connection, job: int, numbers: Sequence[int]) -> None:
    """These waiting targets do not wait for their time any more."""
    for start in range(0, len(numbers), AT_ONCE):
        connection.execute(
            sa.update(job_targets)
            .where(
                _t.job_id == job,
                _t.device_id.in_(numbers[start : start + AT_ONCE]),
                _t.state == TargetState.WAITING.value,
            )
            .values(not_before=None)
        )


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
    "not_before",
)


def set_started(
    connection: Connection,
    job: Job,
    results: Sequence[tuple[int, Started]],
    at: int,
    skipped: Collection[int] = (),
) -> Job:
    """What starting these targets did, counted; the job with its counts.

    Args:
        skipped: those of them that were skipped before; the others were waiting.
    """
    rows, moved = [], Counter[str]()
    for device, result in results:
        waits = result.state is TargetState.WAITING
        if waits and result.not_before is None:
            continue
        over = not waits and result.state is not TargetState.HANDED_OVER
        judged = result.not_before is not None  # it was not tried
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
                0 if judged else 1,
                None if judged else at,
                at if over else None,
                result.not_before,
            ]
        )
        before = TargetState.SKIPPED if device in skipped else TargetState.WAITING
        moved[result.state.value] += 1
        moved[before.value] -= 1
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
    again: dict[str, Any] = {"not_before": None}
    if after is TargetState.WAITING:
        again |= {"reference": None, "words": ""}
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
