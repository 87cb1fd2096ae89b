"""SQL of passwords: the one in force, its proof, and those that were given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.secrets import verifiers
from mooring.store.engine import now_ms
from mooring.store.schema import (
    broker_changes,
    broker_events,
    credentials,
    devices,
    former_verifiers,
    rotations,
)

__all__ = [
    "Credential",
    "Former",
    "Unproved",
    "Use",
    "assign_mark",
    "begin",
    "bury",
    "credential",
    "expired",
    "forget_former",
    "former",
    "mark_found",
    "newest_event",
    "oldest_open_event",
    "open_marks",
    "prove",
    "prove_used",
    "retire",
    "seal_forgotten",
    "set_password",
    "unmarked",
    "unproved",
    "withdraw",
]

MARKED_AT_ONCE = 2_000
NAMES_AT_ONCE = 500

_NEWEST = sa.select(sa.func.max(broker_events.c.id))
_BEGIN = (
    sa.update(credentials)
    .where(credentials.c.device_id == sa.bindparam("device"))
    .values(sealed_secret=sa.bindparam("sealed"), since_event=sa.bindparam("newest"))
)
_RETIRE = sa.insert(former_verifiers)
_IN_FORCE = sa.select(credentials.c.verifier).where(
    credentials.c.device_id == sa.bindparam("device")
)
_MOVING = sa.select(rotations.c.old_verifier, rotations.c.new_verifier).where(
    rotations.c.device_id == sa.bindparam("device"), rotations.c.finished_at.is_(None)
)
_ARE_REMOVED = (
    sa.update(former_verifiers)
    .where(former_verifiers.c.device_id == sa.bindparam("device"))
    .values(removed=True, until=sa.bindparam("kept_until"))
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What the broker is to accept of one device, and whether that has proved itself."""

    verifier: str | None = field(repr=False)
    sealed_secret: bytes | None = field(repr=False)
    created_at: int
    proved_at: int | None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Former:
    """A verifier that was given up."""

    device_id: int
    verifier: str = field(repr=False)
    removed: bool


@dataclass(frozen=True, slots=True)
class Use:
    """A login by password that the broker accepted.

    Attributes:
        key: the salt of the verifier that fitted, which belongs to one password only.
        at: epoch milliseconds.
    """

    username: str
    key: str
    at: int


@dataclass(frozen=True, slots=True)
class Unproved:
    """A password in force that nobody was seen to use yet."""

    device_id: int
    username: str
    since_event: int
    mark_event: int


def newest_event(connection: Connection) -> int:
    """The number of the newest event of the broker's log."""
    return int(connection.execute(_NEWEST).scalar() or 0)


def set_password(
    connection: Connection,
    device_id: int,
    verifier: str,
    *,
    sealed_secret: bytes | None = None,
    created_at: int | None = None,
    expires_at: int | None = None,
) -> None:
    """Another password is to be in force; it has yet to prove itself.

    Args:
        sealed_secret: the password, kept until then for a device that asks again.
        created_at: its age, where it is an older one that comes back.
        expires_at: until when it is accepted; ``None``: without an end.
    """
    connection.execute(
        sa.update(credentials)
        .where(credentials.c.device_id == device_id)
        .values(
            verifier=verifier,
            sealed_secret=sealed_secret,
            created_at=now_ms() if created_at is None else created_at,
            proved_at=None,
            since_event=newest_event(connection),
            mark=None,
            mark_event=None,
            expires_at=expires_at,
        )
    )


def begin(connection: Connection, device_id: int, *, sealed_secret: bytes | None) -> None:
    """A device that was just added: its password has yet to prove itself."""
    connection.execute(
        _BEGIN,
        {"device": device_id, "sealed": sealed_secret, "newest": newest_event(connection)},
    )


def credential(connection: Connection, device_id: int) -> Credential | None:
    row = connection.execute(
        sa.select(
            credentials.c.verifier,
            credentials.c.sealed_secret,
            credentials.c.created_at,
            credentials.c.proved_at,
            credentials.c.expires_at,
        ).where(credentials.c.device_id == device_id)
    ).first()
    return None if row is None else Credential(*row)


def expired(connection: Connection, at: int, limit: int) -> list[tuple[int, str]]:
    """Numbers and usernames of devices whose password has ended."""
    rows = connection.execute(
        sa.select(credentials.c.device_id, devices.c.username)
        .join(devices, devices.c.id == credentials.c.device_id)
        .where(credentials.c.expires_at <= at)
        .order_by(credentials.c.expires_at)
        .limit(limit)
        .with_for_update(of=credentials)
    )
    return [(number, username) for number, username in rows]


def withdraw(connection: Connection, device_ids: Sequence[int]) -> None:
    """No password is accepted of these devices any more."""
    connection.execute(
        sa.update(credentials)
        .where(credentials.c.device_id.in_(device_ids))
        .values(verifier=None, sealed_secret=None, expires_at=None)
    )


# ---------------------------------------------------------------------- proof


def _in_force() -> sa.ColumnElement[bool]:
    """The broker has applied everything: no change of this login is pending."""
    waits = (
        sa.select(broker_changes.c.id)
        .join(devices, devices.c.username == broker_changes.c.username)
        .where(devices.c.id == credentials.c.device_id)
    )
    return sa.and_(
        credentials.c.proved_at.is_(None),
        credentials.c.mark.is_(None),
        credentials.c.verifier.is_not(None),
        ~sa.exists(waits),
    )


def unmarked(connection: Connection) -> bool:
    """Whether a password is in force that has no mark in the log yet."""
    statement = sa.select(credentials.c.device_id).where(_in_force()).limit(1)
    return connection.execute(statement).first() is not None


def assign_mark(connection: Connection, mark: str) -> None:
    """These passwords share a mark that will be made in the log."""
    some = sa.select(credentials.c.device_id).where(_in_force()).limit(MARKED_AT_ONCE)
    connection.execute(
        sa.update(credentials)
        .where(credentials.c.device_id.in_(some.scalar_subquery()))
        .values(mark=mark)
    )


def open_marks(connection: Connection) -> list[str]:
    """Marks that were not found in the log yet."""
    return list(
        connection.execute(
            sa.select(credentials.c.mark)
            .where(
                credentials.c.proved_at.is_(None),
                credentials.c.mark.is_not(None),
                credentials.c.mark_event.is_(None),
            )
            .distinct()
        ).scalars()
    )


def mark_found(connection: Connection, mark: str, event: int) -> list[Unproved]:
    """The mark is event number ``event``; who was waiting for it."""
    mine = sa.and_(credentials.c.mark == mark, credentials.c.proved_at.is_(None))
    connection.execute(sa.update(credentials).where(mine).values(mark_event=event))
    return _unproved(connection, mine)


def unproved(connection: Connection, usernames: Sequence[str]) -> list[Unproved]:
    """Those of ``usernames`` whose password has its mark but no proof."""
    found: list[Unproved] = []
    for start in range(0, len(usernames), 500):
        found += _unproved(
            connection,
            sa.and_(
                devices.c.username.in_(usernames[start : start + 500]),
                credentials.c.proved_at.is_(None),
                credentials.c.mark_event.is_not(None),
            ),
        )
    return found


def _unproved(connection: Connection, which: sa.ColumnElement[bool]) -> list[Unproved]:
    rows = connection.execute(
        sa.select(
            credentials.c.device_id,
            devices.c.username,
            credentials.c.since_event,
            credentials.c.mark_event,
        )
        .join(devices, devices.c.id == credentials.c.device_id)
        .where(which)
    )
    return [Unproved(*row) for row in rows]


def oldest_open_event(connection: Connection) -> int | None:
    """Where the log has to be read from to prove what is not proved; ``None``: nothing is."""
    found = connection.execute(
        sa.select(sa.func.min(credentials.c.since_event)).where(
            credentials.c.proved_at.is_(None), credentials.c.verifier.is_not(None)
        )
    ).scalar()
    return None if found is None else int(found)


def prove(connection: Connection, device_ids: Sequence[int], at: int) -> None:
    """Their passwords were used: they are settled and what was sealed is erased."""
    for start in range(0, len(device_ids), 500):
        connection.execute(
            sa.update(credentials)
            .where(
                credentials.c.device_id.in_(device_ids[start : start + 500]),
                credentials.c.proved_at.is_(None),
                credentials.c.mark_event.is_not(None),
            )
            .values(proved_at=at, sealed_secret=None)
        )


def prove_used(connection: Connection, uses: Iterable[Use]) -> None:
    """As ``prove``, from logins of which the broker says which password they used."""
    keys: dict[str, dict[str, int]] = {}
    for use in uses:
        keys.setdefault(use.username, {}).setdefault(use.key, use.at)
    names = list(keys)
    for start in range(0, len(names), NAMES_AT_ONCE):
        rows = connection.execute(
            sa.select(credentials.c.device_id, devices.c.username, credentials.c.verifier)
            .join(devices, devices.c.id == credentials.c.device_id)
            .where(
                devices.c.username.in_(names[start : start + NAMES_AT_ONCE]),
                credentials.c.proved_at.is_(None),
                credentials.c.verifier.is_not(None),
            )
        ).all()
        for device_id, username, verifier in rows:
            at = keys[username].get(verifiers.salt_of(verifier))
            if at is not None:
                connection.execute(
                    sa.update(credentials)
                    .where(credentials.c.device_id == device_id, credentials.c.verifier == verifier)
                    .values(proved_at=at, sealed_secret=None)
                )


def seal_forgotten(connection: Connection, before: int) -> int:
    """Erases sealed passwords older than ``before`` that were never used."""
    return connection.execute(
        sa.update(credentials)
        .where(credentials.c.sealed_secret.is_not(None), credentials.c.created_at < before)
        .values(sealed_secret=None)
    ).rowcount


# ---------------------------------------------------------------------- former passwords


def retire(
    connection: Connection,
    device: Device,
    verifier: str | None,
    *,
    until: int,
    removed: bool = False,
) -> None:
    """Keeps a verifier that was given up, to recognise a device that still has its password."""
    if verifier is None or until <= now_ms():
        return
    row = {
        "device_id": device.id,
        "username": device.username,
        "tenant": device.tenant,
        "verifier": verifier,
        "removed": removed,
        "until": until,
    }
    connection.execute(_RETIRE, row)


def bury(connection: Connection, device: Device, *, until: int) -> None:
    """The device is about to be removed: every password it may have is kept as a verifier, so
    that it can be notified. Its rotation under way goes with it."""
    of = {"device": device.id}
    held = list(connection.execute(_IN_FORCE, of).scalars())
    for row in connection.execute(_MOVING, of):
        held += row
    connection.execute(_ARE_REMOVED, {**of, "kept_until": until})
    for verifier in {one for one in held if one}:
        retire(connection, device, verifier, until=until, removed=True)


def former(connection: Connection, username: str, at: int) -> list[Former]:
    """What a login once accepted, the newest first."""
    rows = connection.execute(
        sa.select(
            former_verifiers.c.device_id, former_verifiers.c.verifier, former_verifiers.c.removed
        )
        .where(former_verifiers.c.username == username, former_verifiers.c.until > at)
        .order_by(former_verifiers.c.id.desc())
    )
    return [Former(*row) for row in rows]


def forget_former(connection: Connection, at: int) -> int:
    """Drops those whose time is over."""
    return connection.execute(
        sa.delete(former_verifiers).where(former_verifiers.c.until <= at)
    ).rowcount
