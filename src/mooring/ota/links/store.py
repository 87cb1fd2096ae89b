"""SQL of download links. The caller decides on transactions."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.ota.links.model import Found, Target
from mooring.ota.releases.model import State
from mooring.store.schema import (
    devices,
    firmware_artifacts,
    firmware_links,
    firmware_releases,
)

__all__ = ["delete_of", "find", "forget", "insert", "note", "same_tenant", "target", "trim"]

_L, _A, _R, _D = firmware_links.c, firmware_artifacts.c, firmware_releases.c, devices.c
_OFFERED = (str(State.PUBLISHED), str(State.DEPRECATED))
FORGET_AT_ONCE = 100


def same_tenant(connection: Connection, device: int, artifact: int) -> bool:
    """Whether a device and a file belong to the same tenant."""
    statement = (
        sa.select(sa.literal(1))
        .select_from(firmware_artifacts)
        .join(firmware_releases, _R.id == _A.release_id)
        .join(devices, _D.tenant == _R.tenant)
        .where(_A.id == artifact, _D.id == device)
    )
    return connection.execute(statement).first() is not None


def insert(
    connection: Connection,
    *,
    verifier: str,
    update: int,
    device: int,
    artifact: int,
    at: int,
    expires_at: int,
) -> None:
    connection.execute(
        sa.insert(firmware_links).values(
            verifier=verifier,
            update_id=update,
            device_id=device,
            artifact_id=artifact,
            created_at=at,
            expires_at=expires_at,
        )
    )


def trim(connection: Connection, update: int, keep: int) -> None:
    """Deletes all links of an update but the newest."""
    newest = sa.select(_L.id).where(_L.update_id == update).order_by(_L.id.desc()).limit(keep)
    connection.execute(
        sa.delete(firmware_links).where(_L.update_id == update, _L.id.not_in(newest))
    )


def delete_of(connection: Connection, update: int) -> None:
    """Deletes the links of an update."""
    connection.execute(sa.delete(firmware_links).where(_L.update_id == update))


def forget(connection: Connection, before: int) -> None:
    """Deletes some links that expired before a time, in epoch milliseconds."""
    old = sa.select(_L.id).where(_L.expires_at < before).limit(FORGET_AT_ONCE)
    connection.execute(sa.delete(firmware_links).where(_L.id.in_(old)))


def find(connection: Connection, verifier: str) -> Found | None:
    row = connection.execute(
        sa.select(_L.update_id, _L.device_id, _L.artifact_id, _L.expires_at).where(
            _L.verifier == verifier
        )
    ).first()
    return None if row is None else Found(*row)


def target(connection: Connection, verifier: str) -> Target | None:
    """A link, with its device and its file."""
    row = connection.execute(
        sa.select(
            _L.id,
            _L.update_id,
            _L.device_id,
            _D.name,
            _D.tenant,
            _D.username,
            _L.artifact_id,
            _A.name,
            _A.size,
            _A.sha256,
            _L.expires_at,
            sa.and_(_D.enabled, _R.state.in_(_OFFERED)),
            _L.asked_at,
            _L.misused_at,
        )
        .join(devices, _D.id == _L.device_id)
        .join(firmware_artifacts, _A.id == _L.artifact_id)
        .join(firmware_releases, _R.id == _A.release_id)
        .where(_L.verifier == verifier, _R.tenant == _D.tenant)
    ).first()
    if row is None:
        return None
    link, update, device_id, name, tenant, username, *rest = row
    artifact, file, size, sha256, expires_at, is_open, asked_at, misused_at = rest
    return Target(
        link=link,
        update=update,
        device_id=device_id,
        device=f"{tenant}:{name}",
        tenant=tenant,
        username=username,
        artifact=artifact,
        name=file,
        size=size,
        sha256=sha256,
        expires_at=expires_at,
        open=bool(is_open),
        asked_at=asked_at,
        misused_at=misused_at,
    )


def note(connection: Connection, link: int, **values: int | None) -> None:
    """Sets columns of a link."""
    connection.execute(sa.update(firmware_links).where(_L.id == link).values(**values))
