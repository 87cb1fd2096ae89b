"""SQL of firmware releases. The caller decides on transactions."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.ota.releases.model import (
    Artifact,
    Kind,
    NewRelease,
    Release,
    Signature,
    State,
    Stored,
)
from mooring.store.given import among
from mooring.store.given import numbers as numbers_of
from mooring.store.room import require_room
from mooring.store.schema import (
    device_state,
    devices,
    firmware_artifacts,
    firmware_releases,
    firmware_signatures,
    firmware_updates,
)
from mooring.store.version_key import version_key

__all__ = [
    "add_artifact",
    "by_numbers",
    "bytes_of_tenant",
    "change",
    "delete",
    "devices_running",
    "drop_artifact",
    "find",
    "insert",
    "known_files",
    "page",
    "running",
    "set_signature",
]

_R, _A, _S = firmware_releases.c, firmware_artifacts.c, firmware_signatures.c
AT_ONCE = 500


def insert(connection: Connection, new: NewRelease, *, by: str, at: int, most: int) -> int:
    """Adds a draft.

    Raises:
        Conflict: ``limit_reached``.
        IntegrityError: the tenant has this version of the product.
    """
    require_room(
        connection,
        firmware_releases,
        most,
        _R.tenant == new.tenant,
        what="firmware releases",
        setting="firmware_releases_max_per_tenant",
    )
    statement = sa.insert(firmware_releases).values(
        tenant=new.tenant,
        product=new.product,
        kind=str(new.kind),
        version=new.version,
        version_key=version_key(new.version),
        hardware=json.dumps(new.hardware),
        requires=json.dumps(new.requires),
        security_version=new.security_version,
        notes=new.notes,
        state=str(State.DRAFT),
        created_at=at,
        created_by=by,
    )
    return int(connection.execute(statement.returning(_R.id)).scalar_one())


def find(
    connection: Connection,
    actor: Actor,
    *,
    number: int | None = None,
    product: str = "",
    version: str = "",
    tenant: str | None = None,
    lock: bool = False,
) -> list[Release]:
    """Releases by number, or by product and version; at most two, because one is wanted."""
    statement = sa.select(firmware_releases).order_by(_R.id).limit(2)
    if number is not None:
        statement = statement.where(_R.id == number)
    else:
        statement = statement.where(_R.product == product, _R.version == version)
    if tenant is not None:
        statement = statement.where(_R.tenant == tenant)
    if lock and connection.dialect.name == "postgresql":
        statement = statement.with_for_update()
    return _releases(connection, walled(statement, _R.tenant, actor))


_BY_NUMBERS: dict[str, Any] = {}


def by_numbers(connection: Connection, numbers: Collection[int]) -> dict[int, Release]:
    """Number → release. A rollout asks for its own in every turn."""
    engine = connection.dialect.name
    statement = _BY_NUMBERS.get(engine)
    if statement is None:
        statement = sa.select(firmware_releases).where(among(engine, _R.id))
        _BY_NUMBERS[engine] = statement
    rows = connection.execute(statement, numbers_of(engine, sorted(numbers)))
    return {one.id: one for one in _filled(connection, rows.mappings().all())}


def page(
    connection: Connection,
    actor: Actor,
    *,
    tenant: str | None = None,
    product: str | None = None,
    state: State | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Release]:
    """The newest first."""
    statement = sa.select(firmware_releases).order_by(_R.id.desc()).limit(limit)
    for column, wanted in (
        (_R.tenant, tenant),
        (_R.product, product),
        (_R.state, None if state is None else str(state)),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if before is not None:
        statement = statement.where(_R.id < before)
    return _releases(connection, walled(statement, _R.tenant, actor))


def _releases(connection: Connection, statement: sa.Select[Any]) -> list[Release]:
    return _filled(connection, connection.execute(statement).mappings().all())


def _filled(connection: Connection, rows: Sequence[Any]) -> list[Release]:
    files = _artifacts(connection, [row["id"] for row in rows])
    return [
        Release(
            id=row["id"],
            tenant=row["tenant"],
            product=row["product"],
            kind=Kind(row["kind"]),
            version=row["version"],
            hardware=tuple(json.loads(row["hardware"])),
            requires=tuple(json.loads(row["requires"])),
            security_version=row["security_version"],
            notes=row["notes"],
            state=State(row["state"]),
            created_at=row["created_at"],
            created_by=row["created_by"],
            published_at=row["published_at"],
            ended_at=row["ended_at"],
            reason=row["reason"],
            artifacts=tuple(files.get(row["id"], ())),
        )
        for row in rows
    ]


_FILES: dict[str, Any] = {}


def _artifacts(connection: Connection, numbers: Sequence[int]) -> dict[int, list[Artifact]]:
    if not numbers:
        return {}
    engine = connection.dialect.name
    statements = _FILES.get(engine)
    if statements is None:
        own = among(engine, _A.release_id)
        statements = _FILES[engine] = (
            sa.select(_S.artifact_id, _S.key, _S.algorithm, _S.value)
            .join(firmware_artifacts, _A.id == _S.artifact_id)
            .where(own)
            .order_by(_S.artifact_id, _S.key),
            sa.select(firmware_artifacts).where(own).order_by(_A.id),
        )
    asked = numbers_of(engine, numbers)
    signed: dict[int, list[Signature]] = {}
    for number, *values in connection.execute(statements[0], asked):
        signed.setdefault(number, []).append(Signature(*values))
    found: dict[int, list[Artifact]] = {}
    for row in connection.execute(statements[1], asked).mappings():
        facts = dict(row)
        release = facts.pop("release_id")
        found.setdefault(release, []).append(
            Artifact(**facts, release=release, signatures=tuple(signed.get(row["id"], ())))
        )
    return found


def change(connection: Connection, number: int, **values: Any) -> None:
    """Sets columns of a release."""
    connection.execute(sa.update(firmware_releases).where(_R.id == number).values(**values))


def delete(connection: Connection, number: int) -> None:
    """Removes a release with its files' rows."""
    connection.execute(sa.delete(firmware_releases).where(_R.id == number))


def add_artifact(
    connection: Connection, release: int, stored: Stored, *, name: str, from_sha256: str, image: str
) -> int:
    """Raises ``IntegrityError`` when the release has a file of this name."""
    statement = sa.insert(firmware_artifacts).values(
        release_id=release,
        name=name,
        size=stored.size,
        sha256=stored.sha256,
        sha1=stored.sha1,
        md5=stored.md5,
        from_sha256=from_sha256,
        image=image,
    )
    return int(connection.execute(statement.returning(_A.id)).scalar_one())


def drop_artifact(connection: Connection, number: int) -> None:
    connection.execute(sa.delete(firmware_artifacts).where(_A.id == number))


def set_signature(connection: Connection, artifact: int, signature: Signature) -> None:
    """Adds a signature. It replaces an earlier one of the same key."""
    connection.execute(
        sa.delete(firmware_signatures).where(_S.artifact_id == artifact, _S.key == signature.key)
    )
    connection.execute(
        sa.insert(firmware_signatures).values(artifact_id=artifact, **signature._asdict())
    )


def bytes_of_tenant(connection: Connection, tenant: str) -> int:
    """Size of all files of a tenant's releases; a file in two releases counts once."""
    each = (
        sa.select(_A.sha256, sa.func.max(_A.size).label("size"))
        .join(firmware_releases, _R.id == _A.release_id)
        .where(_R.tenant == tenant)
        .group_by(_A.sha256)
        .subquery()
    )
    total = connection.execute(sa.select(sa.func.sum(each.c.size))).scalar()
    return int(total or 0)


def known_files(connection: Connection, digests: Collection[str]) -> set[str]:
    """Which of these files a release refers to."""
    wanted, found = sorted(digests), set[str]()
    for start in range(0, len(wanted), AT_ONCE):
        some = _A.sha256.in_(wanted[start : start + AT_ONCE])
        found |= set(connection.execute(sa.select(_A.sha256).where(some)).scalars())
    return found


_RUN = ("installed", "confirmed", "unproved")
"""States of updates whose release runs; ``mooring.ota.updates.model.State``."""


def running(connection: Connection, release: Release) -> int:
    """Devices of the tenant that run a release."""
    some = _running(release).with_only_columns(sa.func.count(), maintain_column_froms=True)
    return connection.execute(some).scalar_one()


def devices_running(
    connection: Connection, release: Release, *, after: int, limit: int
) -> list[tuple[int, str]]:
    """Number and name of devices of the tenant that run a release, from the one after a number."""
    some = _running(release).where(devices.c.id > after).order_by(devices.c.id).limit(limit)
    return [(row[0], row[1]) for row in connection.execute(some)]


def _running(release: Release) -> sa.Select[Any]:
    """Of firmware, devices that report the version; of other kinds, those whose last update that
    was installed is one to the release."""
    some = sa.select(devices.c.id, devices.c.name).where(devices.c.tenant == release.tenant)
    if release.kind is Kind.FIRMWARE:
        state = device_state.c
        return some.join(device_state, devices.c.id == state.device_id).where(
            state.firmware_key == version_key(release.version)
        )
    mine, later = firmware_updates.alias(), firmware_updates.alias()
    newer = sa.exists().where(
        later.c.device_id == mine.c.device_id,
        later.c.kind == mine.c.kind,
        later.c.id > mine.c.id,
        later.c.state.in_(_RUN),
    )
    return some.where(
        sa.exists().where(
            mine.c.device_id == devices.c.id,
            mine.c.release_id == release.id,
            mine.c.state.in_(_RUN),
            ~newer,
        )
    )
