"""SQL of announcements. The caller decides on transactions."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.ota.latest.model import Announcement, Ended, Found, How, Reached
from mooring.ota.latest.rules import Hardware
from mooring.ota.releases.model import Kind, State
from mooring.ota.updates.model import State as UpdateState
from mooring.store.schema import (
    device_attributes,
    device_state,
    devices,
    firmware_artifacts,
    firmware_changes,
    firmware_latest,
    firmware_releases,
    firmware_rollouts,
    firmware_updates,
    job_targets,
)
from mooring.store.version_key import version_key

__all__ = [
    "KEPT_MAX",
    "by_topic",
    "end",
    "forget",
    "found",
    "hardware",
    "how",
    "insert",
    "listed",
    "open_ones",
    "proved_by",
    "reached",
]

KEPT_MAX = 100
"""Announcements that are over and still listed; the oldest are deleted."""

_L, _R, _A, _D = firmware_latest.c, firmware_releases.c, firmware_artifacts.c, devices.c
_OPEN = _L.ended_at.is_(None)
_OFFERED = (State.PUBLISHED.value, State.DEPRECATED.value)
_RAN = [
    one.value
    for one in (
        UpdateState.REBOOTING,
        UpdateState.INSTALLED,
        UpdateState.CONFIRMED,
        UpdateState.REVERTED,
        UpdateState.REGRESSED,
        UpdateState.UNPROVED,
    )
]
"""States of updates that were installed."""
_SELECT = sa.select(
    *(_L.id, _L.topic, _L.dialects, _L.kind, _L.job_id, _L.release_id, _L.artifact_id),
    *(_L.actor, _L.reason, _L.at, _L.ended_at, _L.ended_why, _R.tenant, _R.product, _R.version),
).join(firmware_releases, _R.id == _L.release_id)


def insert(  # one argument for each column
    connection: Connection,
    *,
    topic: str,
    dialects: Sequence[str],
    kind: Kind,
    job: int,
    release: int,
    artifact: int,
    verifier: str,
    actor: str,
    reason: str,
    at: int,
) -> int:
    """A new announcement; its number.

    Raises:
        IntegrityError: the topic has one.
    """
    statement = sa.insert(firmware_latest).values(
        topic=topic,
        dialects=json.dumps(list(dialects)),
        kind=kind.value,
        job_id=job,
        release_id=release,
        artifact_id=artifact,
        verifier=verifier,
        actor=actor,
        reason=reason,
        at=at,
    )
    number = int(connection.execute(statement.returning(_L.id)).scalar_one())
    _note(connection, [job])
    return number


def end(connection: Connection, some: Sequence[Announcement], why: Ended, at: int) -> None:
    """These are over."""
    connection.execute(
        sa.update(firmware_latest)
        .where(_L.id.in_([one.id for one in some]), _OPEN)
        .values(ended_at=at, ended_why=why.value)
    )
    _note(connection, [one.job_id for one in some])


def _note(connection: Connection, jobs: Sequence[int]) -> None:
    """Since when each is announced, on any topic."""
    job = firmware_rollouts.c.job_id
    since = sa.select(sa.func.min(_L.at)).where(_L.job_id == job, _OPEN)
    since_when = since.correlate(firmware_rollouts).scalar_subquery()
    connection.execute(
        sa.update(firmware_rollouts).where(job.in_(jobs)).values(latest_at=since_when)
    )


def forget(connection: Connection) -> None:
    """Deletes the oldest that are over."""
    kept = sa.select(_L.id).where(~_OPEN).order_by(_L.id.desc()).limit(KEPT_MAX)
    connection.execute(sa.delete(firmware_latest).where(~_OPEN, _L.id.not_in(kept)))


def open_ones(
    connection: Connection,
    *,
    topics: Collection[str] | None = None,
    release: int | None = None,
    job: int | None = None,
    lock: bool = False,
) -> list[Announcement]:
    """Those that are not over, by topic.

    Args:
        topics, release, job: only of these.
        lock: nobody else changes them in this transaction.
    """
    statement = _SELECT.where(_OPEN).order_by(_L.topic)
    if topics is not None:
        statement = statement.where(_L.topic.in_(topics))
    if release is not None:
        statement = statement.where(_L.release_id == release)
    if job is not None:
        statement = statement.where(_L.job_id == job)
    if lock:
        statement = statement.with_for_update(of=firmware_latest)
    return [_announcement(row) for row in connection.execute(statement)]


def listed(connection: Connection, *, before: int | None, limit: int) -> list[Announcement]:
    """The newest first."""
    statement = _SELECT.order_by(_L.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_L.id < before)
    return [_announcement(row) for row in connection.execute(statement)]


def _announcement(row: Any) -> Announcement:
    *values, product, version = row
    names = ("id", "topic", "dialects", "kind", "job_id", "release_id", "artifact_id", "actor")
    more = ("reason", "at", "ended_at", "ended_why", "tenant")
    facts = dict(zip((*names, *more), values, strict=True))
    facts["dialects"], facts["kind"] = tuple(json.loads(facts["dialects"])), Kind(facts["kind"])
    return Announcement(**facts, release=f"{product}:{version}", version=version)


def found(connection: Connection, verifier: str) -> Found | None:
    """What a link leads to."""
    row = connection.execute(
        sa.select(
            *(_L.id, _L.artifact_id, _A.name, _A.size, _A.sha256),
            sa.and_(_OPEN, _R.state.in_(_OFFERED)),
        )
        .join(firmware_artifacts, _A.id == _L.artifact_id)
        .join(firmware_releases, _R.id == _L.release_id)
        .where(_L.verifier == verifier)
    ).first()
    if row is None:
        return None
    number, artifact, name, size, sha256, is_open = row
    return Found(number, artifact, name, size, sha256, bool(is_open))


# ---------------------------------------------------------------------- devices


def proved_by(connection: Connection, job: int) -> list[str]:
    """Dialects of the devices that succeeded in a rollout."""
    t = job_targets.c
    rows = connection.execute(
        sa.select(_D.dialect)
        .join(job_targets, t.device_id == _D.id)
        .where(t.job_id == job, t.state == "succeeded")
        .distinct()
    )
    return sorted(rows.scalars())


def hardware(connection: Connection, dialects: Collection[str]) -> Hardware:
    """Devices of these dialects, of every tenant, by their hardware."""
    a = device_attributes.c
    of = sa.and_(a.device_id == _D.id, a.name == "hardware")
    rows = connection.execute(
        sa.select(a.value, sa.func.count())
        .select_from(devices.outerjoin(device_attributes, of))
        .where(_D.dialect.in_(dialects))
        .group_by(a.value)
    ).all()
    named = {str(json.loads(value)): number for value, number in rows if value is not None}
    return Hardware(named, sum(number for value, number in rows if value is None))


def _ways(announcement: Announcement) -> tuple[sa.Select[Any], Any, Any]:
    """Devices that report an announced version, and the conditions of the two ways to it."""
    s, u, c = device_state.c, firmware_updates.c, firmware_changes.c
    updated = sa.exists().where(
        u.device_id == _D.id, u.release_id == announcement.release_id, u.state.in_(_RAN)
    )
    since = sa.exists().where(
        c.device_id == _D.id, c.version == s.firmware, c.at >= announcement.at
    )
    running = (
        sa.select(_D.id)
        .join(device_state, s.device_id == _D.id)
        .where(
            _D.dialect.in_(announcement.dialects),
            s.firmware_key == version_key(announcement.version),
        )
    )
    return running, updated, since


def reached(connection: Connection, announcement: Announcement) -> Reached | None:
    """Devices that report the version, by how they came to it. That of a file system is reported
    in words of each firmware, and is not counted."""
    if announcement.kind is not Kind.FIRMWARE:
        return None
    running, updated, since = _ways(announcement)
    which = sa.case((updated, How.UPDATE.value), (since, How.TOPIC.value), else_=How.BEFORE.value)
    each = running.with_only_columns(which.label("how"), maintain_column_froms=True).subquery()
    rows = connection.execute(sa.select(each.c.how, sa.func.count()).group_by(each.c.how))
    counts: dict[str, int] = {row[0]: row[1] for row in rows}
    return Reached(counts.get(How.UPDATE, 0), counts.get(How.TOPIC, 0), counts.get(How.BEFORE, 0))


def how(connection: Connection, announcement: Announcement, device: int) -> How | None:
    """How one device came to the version."""
    if announcement.kind is not Kind.FIRMWARE:
        return None
    running, updated, since = _ways(announcement)
    which = sa.case((updated, How.UPDATE.value), (since, How.TOPIC.value), else_=How.BEFORE.value)
    one = running.with_only_columns(which, maintain_column_froms=True).where(_D.id == device)
    row = connection.execute(one).first()
    return How.NOT_YET if row is None else How(row[0])


def by_topic(connection: Connection, job: int, numbers: Collection[int]) -> set[int]:
    """Those of these devices that have the release of a rollout from its announcement."""
    some: set[int] = set()
    for one in open_ones(connection, job=job):
        if one.kind is Kind.FIRMWARE:
            running, updated, since = _ways(one)
            statement = running.where(_D.id.in_(numbers), ~updated, since)
            some |= set(connection.execute(statement).scalars())
    return some
