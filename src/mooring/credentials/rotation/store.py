"""SQL of rotations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.credentials.rotation.model import Rotation
from mooring.credentials.rotation.rules import Phase, Timing
from mooring.devices.password_store import NAMES_AT_ONCE, Use
from mooring.identity.actor import Actor, walled
from mooring.jobs import outcomes
from mooring.jobs.model import Outcome
from mooring.jobs.rules import TargetState
from mooring.secrets import verifiers
from mooring.store.schema import (
    broker_changes,
    credentials,
    device_state,
    devices,
    rotations,
)

__all__ = [
    "REFERENCE",
    "WORK",
    "Standing",
    "active",
    "by_ids",
    "change",
    "due_for_age",
    "end_of",
    "finish",
    "insert",
    "newest",
    "of_age",
    "oldest_sent_event",
    "page",
    "reference_of",
    "standing",
    "used",
]

REFERENCE = "rotation:"
"""Begins what targets of jobs are carried out by."""

_COLUMNS = (
    rotations.c.id,
    rotations.c.device_id,
    rotations.c.phase,
    rotations.c.actor,
    rotations.c.origin,
    rotations.c.reason,
    rotations.c.created_at,
    rotations.c.keep_old,
    rotations.c.sealed_secret,
    rotations.c.old_verifier,
    rotations.c.new_verifier,
    rotations.c.old_created_at,
    rotations.c.sends,
    rotations.c.first_sent_at,
    rotations.c.last_sent_at,
    rotations.c.sent_event,
    rotations.c.flips,
    rotations.c.in_force_at,
    rotations.c.finished_at,
    rotations.c.outcome,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A rotation under way, with what is known of its device."""

    rotation: Rotation
    username: str
    dialect: str
    enabled: bool
    connected: bool
    connected_at: int | None
    address: str | None
    proved: bool
    mark_event: int | None
    used_new_at: int | None
    used_old_at: int | None
    busy: bool


def _rotation(row: Sequence[Any]) -> Rotation:
    values = list(row)
    values[2] = Phase(values[2])
    return Rotation(*values)


def insert(connection: Connection, rotation: Rotation) -> None:
    """Raises ``IntegrityError`` when the device has one under way."""
    connection.execute(
        sa.insert(rotations).values(
            {column.name: getattr(rotation, column.name) for column in _COLUMNS}
            | {"phase": str(rotation.phase)}
        )
    )


def active(connection: Connection, device_id: int) -> Rotation | None:
    """The one under way."""
    row = connection.execute(
        sa.select(*_COLUMNS).where(
            rotations.c.device_id == device_id, rotations.c.finished_at.is_(None)
        )
    ).first()
    return None if row is None else _rotation(row)


def newest(connection: Connection, device_id: int) -> Rotation | None:
    row = connection.execute(
        sa.select(*_COLUMNS)
        .where(rotations.c.device_id == device_id)
        .order_by(rotations.c.created_at.desc())
        .limit(1)
    ).first()
    return None if row is None else _rotation(row)


def by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, Rotation]:
    found: dict[str, Rotation] = {}
    for start in range(0, len(ids), 500):
        rows = connection.execute(
            sa.select(*_COLUMNS).where(rotations.c.id.in_(ids[start : start + 500]))
        )
        found |= {row[0]: _rotation(row) for row in rows}
    return found


def page(
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    before: tuple[int, str] | None = None,
    only_active: bool = False,
) -> list[tuple[str, str, Rotation]]:
    """(tenant, device, rotation), the newest first."""
    statement = (
        sa.select(devices.c.tenant, devices.c.name, *_COLUMNS)
        .join(devices, devices.c.id == rotations.c.device_id)
        .order_by(rotations.c.created_at.desc(), rotations.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(
            rotations.c.created_at <= before[0],  # for the index: ``or`` has no use of it
            sa.or_(rotations.c.created_at < before[0], rotations.c.id < before[1]),
        )
    if only_active:
        statement = statement.where(rotations.c.finished_at.is_(None))
    rows = connection.execute(walled(statement, devices.c.tenant, actor))
    return [(row[0], row[1], _rotation(row[2:])) for row in rows]


WORK = (
    "SELECT EXISTS (SELECT 1 FROM rotations WHERE finished_at IS NULL),"
    " EXISTS (SELECT 1 FROM credentials WHERE proved_at IS NULL AND mark IS NULL"
    " AND verifier IS NOT NULL),"
    " EXISTS (SELECT 1 FROM credentials WHERE proved_at IS NULL),"
    " (SELECT max(id) FROM broker_events)"
)
"""For ``Lookout``: whether a rotation is under way; whether a password has no mark in the log yet;
whether one is not proved; the newest event of the broker."""


def _may_act(at: int, timing: Timing) -> sa.ColumnElement[bool]:
    """Where both passwords are accepted: what may take a step now, see ``by_use``. One that waits
    for a device that is offline may not."""
    there = device_state.c.connected.is_(True)
    last = rotations.c.last_sent_at
    return sa.or_(
        rotations.c.used_new_at.is_not(None),
        rotations.c.phase == Phase.SENT,
        sa.and_(rotations.c.sends == 0, rotations.c.created_at <= at - timing.wait),
        sa.and_(rotations.c.sends == 0, there, sa.or_(last.is_(None), last <= at - timing.resend)),
        sa.and_(rotations.c.sends > 0, there),
        sa.and_(rotations.c.sends > 0, rotations.c.used_old_at > last),
    )


def standing(connection: Connection, *, acting: tuple[int, Timing] | None = None) -> list[Standing]:
    """Every rotation under way.

    Args:
        acting: only those that may take a step at that time; where the broker accepts both
            passwords.
    """
    rows = connection.execute(
        sa.select(
            *_COLUMNS,
            devices.c.username,
            devices.c.dialect,
            devices.c.enabled,
            device_state.c.connected,
            device_state.c.connected_at,
            device_state.c.address,
            credentials.c.proved_at,
            credentials.c.mark_event,
            rotations.c.used_new_at,
            rotations.c.used_old_at,
            sa.exists(
                sa.select(broker_changes.c.id).where(
                    broker_changes.c.username == devices.c.username
                )
            ),
        )
        .join(devices, devices.c.id == rotations.c.device_id)
        .join(credentials, credentials.c.device_id == devices.c.id)
        .outerjoin(device_state, device_state.c.device_id == devices.c.id)
        .where(rotations.c.finished_at.is_(None), *([] if acting is None else [_may_act(*acting)]))
        .order_by(rotations.c.created_at)
    )
    return [
        Standing(
            _rotation(row[: len(_COLUMNS)]),
            row.username,
            row.dialect,
            bool(row.enabled),
            bool(row.connected),
            row.connected_at,
            row.address,
            row.proved_at is not None,
            row.mark_event,
            row.used_new_at,
            row.used_old_at,
            bool(row[-1]),
        )
        for row in rows
    ]


def oldest_sent_event(connection: Connection) -> int | None:
    """Where the log has to be read from for those under way."""
    found = connection.execute(
        sa.select(sa.func.min(rotations.c.sent_event)).where(rotations.c.finished_at.is_(None))
    ).scalar()
    return None if found is None else int(found)


def change(connection: Connection, rotation: Rotation, *, was: Phase, **values: Any) -> bool:
    """Changes it if it is still in the phase it was seen in; says whether it was."""
    if "phase" in values:
        values["phase"] = str(values["phase"])
    return bool(
        connection.execute(
            sa.update(rotations)
            .where(
                rotations.c.id == rotation.id,
                rotations.c.phase == str(was),
                rotations.c.finished_at.is_(None),
            )
            .values(**values)
        ).rowcount
    )


def finish(connection: Connection, rotation: Rotation, phase: Phase, outcome: str, at: int) -> bool:
    """It is over: password and verifiers are erased from its row."""
    finished = change(
        connection,
        rotation,
        was=rotation.phase,
        phase=phase,
        outcome=outcome,
        finished_at=at,
        sealed_secret=None,
        old_verifier=None,
        new_verifier=None,
    )
    if finished:
        state, code = end_of(phase)
        outcomes.note(connection, [Outcome(reference_of(rotation.id), state, code, outcome)])
    return finished


def end_of(phase: Phase) -> tuple[TargetState, str]:
    """What the end of a rotation means for the job that started it. Pure."""
    if phase is Phase.SETTLED:
        return TargetState.SUCCEEDED, ""
    return TargetState.FAILED, str(phase)


def reference_of(rotation: str) -> str:
    """What the target of a job is carried out by."""
    return f"{REFERENCE}{rotation}"


def of_age(connection: Connection, numbers: Sequence[int], older_than: int) -> list[int]:
    """Those of these devices that are enabled and have a password from before then."""
    statement = (
        sa.select(devices.c.id)
        .join(credentials, credentials.c.device_id == devices.c.id)
        .where(
            devices.c.id.in_(numbers),
            devices.c.enabled,
            credentials.c.verifier.is_not(None),
            credentials.c.created_at < older_than,
        )
        .order_by(devices.c.id)
    )
    return list(connection.execute(statement).scalars())


def used(connection: Connection, uses: Iterable[Use]) -> None:
    """Logins whose password the broker named: of rotations under way, which one it was."""
    by_name: dict[str, list[Use]] = {}
    for use in uses:
        by_name.setdefault(use.username, []).append(use)
    names = list(by_name)
    for start in range(0, len(names), NAMES_AT_ONCE):
        rows = connection.execute(
            sa.select(
                rotations.c.id,
                devices.c.username,
                rotations.c.old_verifier,
                rotations.c.new_verifier,
            )
            .join(devices, devices.c.id == rotations.c.device_id)
            .where(
                rotations.c.finished_at.is_(None),
                devices.c.username.in_(names[start : start + NAMES_AT_ONCE]),
            )
        ).all()
        for number, username, old, new in rows:
            seen = {
                column: use.at
                for use in by_name[username]
                for column, verifier in (("used_old_at", old), ("used_new_at", new))
                if verifier is not None and verifiers.salt_of(verifier) == use.key
            }
            if seen:
                connection.execute(
                    sa.update(rotations).where(rotations.c.id == number).values(**seen)
                )


def due_for_age(
    connection: Connection,
    *,
    older_than: int,
    not_tried_since: int | None = None,
    tenant: str | None = None,
    dialect: str | None = None,
    limit: int = 100,
    after: int = 0,
) -> list[int]:
    """Numbers of enabled devices whose password is from before ``older_than`` and that have no
    rotation under way (nor one begun after ``not_tried_since``)."""
    tried = sa.select(rotations.c.device_id).where(
        rotations.c.device_id == devices.c.id,
        sa.or_(
            rotations.c.finished_at.is_(None),
            sa.false() if not_tried_since is None else rotations.c.created_at >= not_tried_since,
        ),
    )
    statement = (
        sa.select(devices.c.id)
        .join(credentials, credentials.c.device_id == devices.c.id)
        .where(
            devices.c.id > after,
            devices.c.enabled,
            credentials.c.verifier.is_not(None),
            credentials.c.created_at < older_than,
            ~sa.exists(tried),
        )
        .order_by(devices.c.id)
        .limit(limit)
    )
    if tenant is not None:
        statement = statement.where(devices.c.tenant == tenant)
    if dialect is not None:
        statement = statement.where(devices.c.dialect == dialect)
    return list(connection.execute(statement).scalars())
