"""SQL of rollouts: what a job has not, and what is known of its devices. The caller decides on
transactions."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.jobs.gates import boundary
from mooring.jobs.model import Job
from mooring.jobs.rules import State as JobState
from mooring.jobs.rules import TargetState
from mooring.ota.releases.model import Kind
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.rollouts.model import Approval, Reason, Wave
from mooring.ota.updates.model import INSTALL_BEGUN, NOT_BEGUN
from mooring.ota.updates.model import State as UpdateState
from mooring.store.given import among, numbers
from mooring.store.schema import (
    device_attributes,
    device_state,
    firmware_releases,
    firmware_rollouts,
    firmware_updates,
    job_targets,
    jobs,
)

__all__ = [
    "Record",
    "arrived",
    "away",
    "find",
    "in_between",
    "insert",
    "installed",
    "newer",
    "one",
    "patient",
    "reasons",
    "running",
    "set_approval",
    "skip_unproved",
    "waits_for_devices",
    "waves",
    "zones",
]

NOT_CONNECTED = "not_connected"
"""The cause of targets that wait for their devices."""

_r, _t = firmware_rollouts.c, job_targets.c
_STARTED = (TargetState.HANDED_OVER, TargetState.SUCCEEDED, TargetState.FAILED)


# Statements of every turn are put together once: that costs more than running them.
_JOB = sa.bindparam("job", type_=sa.BigInteger)
_AT = sa.bindparam("at", type_=sa.BigInteger)
_MOST = sa.bindparam("most", type_=sa.Integer)
_ONE = sa.select(firmware_rollouts).where(_r.job_id == _JOB)


class Record(NamedTuple):
    """The row of a rollout."""

    release_id: int
    approval: Approval
    latest_at: int | None = None


# ---------------------------------------------------------------------- rollouts


def insert(
    connection: Connection, job: Job, release: int, kind: Kind, *, approval: bool, at: int
) -> Record:
    """The row of a new rollout."""
    connection.execute(
        sa.insert(firmware_rollouts),
        {
            "job_id": job.id,
            "tenant": job.tenant,
            "release_id": release,
            "kind": kind.value,
            "approval": approval,
            "changed_by": job.actor,
            "changed_at": at,
            "approved_by": "",
        },
    )
    return Record(release, Approval(needed=approval, changed_by=job.actor, changed_at=at))


def one(connection: Connection, job: int) -> Record | None:
    """By the number of its job."""
    row = connection.execute(_ONE, {"job": job}).first()
    return None if row is None else _record(row)


def find(connection: Connection, jobs_: Sequence[int]) -> dict[int, Record]:
    """Number of a job → its row; those of a page at most."""
    rows = connection.execute(sa.select(firmware_rollouts).where(_r.job_id.in_(jobs_)))
    return {row.job_id: _record(row) for row in rows}


def _record(row: Any) -> Record:
    approval = Approval(
        bool(row.approval), row.changed_by, row.approved_by, row.approved_at, row.changed_at
    )
    return Record(row.release_id, approval, row.latest_at)


def set_approval(connection: Connection, job: int, approval: Approval, at: int) -> None:
    """Who changed it, and who approved it."""
    connection.execute(
        sa.update(firmware_rollouts)
        .where(_r.job_id == job)
        .values(
            changed_by=approval.changed_by,
            # Of two changes in one millisecond the later one has the larger number.
            changed_at=sa.case((_r.changed_at >= at, _r.changed_at + 1), else_=at),
            approved_by=approval.by,
            approved_at=approval.at,
        )
    )


_OVER = (JobState.CANCELLED, JobState.CANCELLING, JobState.EXPIRED, JobState.EXPIRING)
_RESTING = (JobState.PAUSED, JobState.STOPPED)
_BEGUN = (TargetState.HANDED_OVER, TargetState.SUCCEEDED)


_NEWER = (
    sa.select(_r.job_id, jobs.c.state)
    .join(jobs, jobs.c.id == _r.job_id)
    .join(firmware_releases, firmware_releases.c.id == _r.release_id)
    .where(
        _r.tenant == sa.bindparam("tenant"),
        _r.kind == sa.bindparam("which"),
        _r.job_id > _JOB,
        sa.or_(_r.approval.is_(False), _r.approved_at.is_not(None)),
        jobs.c.state.not_in([one.value for one in _OVER]),
        firmware_releases.c.state != ReleaseState.WITHDRAWN.value,
    )
)


def newer(connection: Connection, job: Job, kind: Kind, devices: Sequence[int]) -> set[int]:
    """Those of these devices that a newer rollout of the same kind has, and that may start.

    One that is paused or stopped has those that it was started for: the others are left to the
    older one. One whose release is withdrawn has none.
    """
    asked = {"job": job.id, "tenant": job.tenant, "which": kind.value}
    rows = connection.execute(_NEWER, asked).all()
    resting = {number for number, state in rows if state in {one.value for one in _RESTING}}
    running = {number for number, _ in rows} - resting
    found: set[int] = set()
    for some, states in ((running, (TargetState.WAITING, *_BEGUN)), (resting, _BEGUN)):
        if not some:
            continue
        theirs = connection.execute(
            sa.select(_t.device_id).where(
                _t.job_id.in_(some),
                _t.device_id.in_(devices),
                _t.state.in_([one.value for one in states]),
            )
        )
        found |= set(theirs.scalars())
    return found


def running(connection: Connection, tenant: str) -> int:
    """Rollouts of a tenant that offer their releases now."""
    statement = (
        sa.select(sa.func.count())
        .select_from(firmware_rollouts)
        .join(jobs, jobs.c.id == _r.job_id)
        .where(_r.tenant == tenant, jobs.c.state == JobState.RUNNING.value)
    )
    return int(connection.execute(statement).scalar_one())


# ---------------------------------------------------------------------- devices


_AWAY: dict[str, Any] = {}


def away(connection: Connection, devices: Sequence[int]) -> set[int]:
    """Those that are known to be not connected. An offer to a device that was never seen waits for
    it with its update."""
    engine, c = connection.dialect.name, device_state.c
    statement = _AWAY.get(engine)
    if statement is None:
        absent = sa.and_(c.connected.is_(None), c.online.is_(False))
        statement = _AWAY[engine] = sa.select(c.device_id).where(
            among(engine, c.device_id), sa.or_(c.connected.is_(False), absent)
        )
    return set(connection.execute(statement, numbers(engine, devices)).scalars())


_WAITING = (
    _t.job_id == _JOB,
    _t.not_before > _AT,
    _t.state == TargetState.WAITING.value,
    _t.cause == NOT_CONNECTED,
)
_S = device_state.c
_ARRIVED = (
    sa.select(_t.device_id)
    .join(device_state, _S.device_id == _t.device_id)
    .where(
        *_WAITING,
        sa.or_(
            _S.connected.is_(True),
            sa.and_(_S.connected.is_(None), sa.or_(_S.online.is_(None), _S.online.is_(True))),
        ),
    )
    .limit(_MOST)
)
_WAITS = sa.select(sa.literal(1)).where(*_WAITING).limit(1)


def arrived(connection: Connection, job: int, at: int, limit: int) -> list[int]:
    """Devices that wait for being connected, and are."""
    rows = connection.execute(_ARRIVED, {"job": job, "at": at, "most": limit})
    return list(rows.scalars())


def waits_for_devices(connection: Connection, job: int, at: int) -> bool:
    """Whether any target waits for its device to connect."""
    return connection.execute(_WAITS, {"job": job, "at": at}).first() is not None


def zones(connection: Connection, devices: Collection[int]) -> Mapping[int, str]:
    """Time zones of those devices that have one."""
    c = device_attributes.c
    rows = connection.execute(
        sa.select(c.device_id, c.value).where(c.name == "timezone", c.device_id.in_(devices))
    )
    return {row[0]: json.loads(row[1]) for row in rows}


# ---------------------------------------------------------------------- how far it is


class InBetween(NamedTuple):
    """Updates of a rollout that are not over: see ``Facts``."""

    busy: int
    absent: int


_U = firmware_updates.c
_IN_BETWEEN = (
    sa.select(_U.state, _U.linked, sa.func.count())
    .where(_U.job_id == _JOB, _U.finished_at.is_(None))
    .group_by(_U.state, _U.linked)
)


def in_between(connection: Connection, job: int, counted: Collection[UpdateState]) -> InBetween:
    """Devices in the middle of an install, and devices that left before they began.

    Args:
        counted: states that count as over already.
    """
    rows = connection.execute(_IN_BETWEEN, {"job": job}).all()
    busy = {state.value for state in INSTALL_BEGUN - set(counted)}
    not_begun = {state.value for state in NOT_BEGUN}
    # An offer to a device that was never seen waits; one that was handed over reached its device.
    unseen = UpdateState.WAITING.value
    return InBetween(
        sum(count for state, _, count in rows if state in busy),
        sum(
            count
            for state, linked, count in rows
            if state in not_begun and (linked is False or (linked is None and state == unseen))
        ),
    )


def patient(connection: Connection, job: int) -> int:
    """Connected devices of a rollout that wait with the image for their window: others may
    download meanwhile."""
    c = firmware_updates.c
    statement = sa.select(sa.func.count()).where(
        c.job_id == job,
        c.finished_at.is_(None),
        c.state == UpdateState.DEFERRED.value,
        c.install_in != "",
        c.linked.is_not(False),
    )
    return int(connection.execute(statement).scalar_one())


def installed(connection: Connection, job: int, limit: int) -> list[str]:
    """References of targets without an outcome whose devices report the release as installed."""
    c = firmware_updates.c
    rows = connection.execute(
        sa.select(_t.reference)
        .select_from(firmware_updates)
        .join(job_targets, sa.and_(_t.job_id == c.job_id, _t.device_id == c.device_id))
        .where(
            c.job_id == job,
            c.finished_at.is_(None),
            c.state == UpdateState.INSTALLED.value,
            _t.state == TargetState.HANDED_OVER.value,
        )
        .limit(limit)
    )
    return [one for one in rows.scalars() if one is not None]


_SKIP_UNPROVED = (
    sa.update(job_targets)
    .where(
        _t.job_id == _JOB,
        sa.text("state <> counted"),
        _t.state == TargetState.SUCCEEDED.value,
        _t.cause == UpdateState.UNPROVED.value,
    )
    .values(state=TargetState.SKIPPED.value)
)


def skip_unproved(connection: Connection, job: int) -> None:
    """A device that never reports its version proves nothing for or against a release."""
    connection.execute(_SKIP_UNPROVED, {"job": job})


def reasons(connection: Connection, job: int) -> tuple[Reason, ...]:
    """Why devices wait, are skipped or cancelled, or failed; the most frequent first."""
    count = sa.func.count()
    rows = connection.execute(
        sa.select(_t.state, _t.cause, count)
        .where(_t.job_id == job, _t.cause != "", _t.state != TargetState.SUCCEEDED.value)
        .group_by(_t.state, _t.cause)
        .order_by(count.desc(), _t.state, _t.cause)
    )
    return tuple(Reason(*row) for row in rows)


def waves(connection: Connection, job: Job) -> tuple[Wave, ...]:
    """The waves, as targets were started one after the other."""
    counts, percents = job.counts, job.plan.waves
    total = counts.total - counts.skipped - counts.cancelled
    ends = [boundary(percent, place, total) for place, percent in enumerate(percents)]
    started = (
        sa.select(
            _t.state,
            sa.func.row_number().over(order_by=[_t.handed_at, _t.rank]).label("place"),
        )
        .where(_t.job_id == job.id, _t.state.in_([one.value for one in _STARTED]))
        .subquery()
    )
    last = len(ends) - 1
    number: Any = (
        sa.case(
            *((started.c.place <= end, place) for place, end in enumerate(ends[:-1])), else_=last
        )
        if last
        else sa.literal(0)
    )
    rows = connection.execute(
        sa.select(number.label("wave"), started.c.state, sa.func.count()).group_by(
            sa.text("1"), started.c.state
        )
    ).all()
    return tuple(
        Wave(
            place + 1,
            percent,
            end - (ends[place - 1] if place else 0),
            {row[1]: row[2] for row in rows if row[0] == place},
        )
        for place, (percent, end) in enumerate(zip(percents, ends, strict=True))
    )
