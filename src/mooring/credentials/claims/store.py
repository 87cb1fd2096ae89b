"""SQL of claim codes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.credentials.claims.model import ClaimCode
from mooring.identity.actor import Actor, walled
from mooring.store.room import require_room
from mooring.store.schema import claim_codes

__all__ = ["by_digest", "by_id", "insert", "page", "require_code_room", "revoke", "use", "withdraw"]

_COLUMNS = (
    claim_codes.c.id,
    claim_codes.c.tenant,
    claim_codes.c.dialect,
    claim_codes.c.label,
    claim_codes.c.name,
    claim_codes.c.groups,
    claim_codes.c.attributes,
    claim_codes.c.created_at,
    claim_codes.c.created_by,
    claim_codes.c.expires_at,
    claim_codes.c.revoked_at,
    claim_codes.c.claimed_at,
    claim_codes.c.hardware_id,
    claim_codes.c.device_id,
)


def _claim(row: Sequence[Any]) -> ClaimCode:
    values = list(row)
    values[5] = tuple(json.loads(values[5]))
    values[6] = json.loads(values[6])
    return ClaimCode(*values)


def insert(connection: Connection, claim: ClaimCode, digest: str) -> ClaimCode:
    """Raises ``IntegrityError`` when there is a code with that digest already."""
    row = connection.execute(
        sa.insert(claim_codes)
        .values(
            digest=digest,
            tenant=claim.tenant,
            dialect=claim.dialect,
            label=claim.label,
            name=claim.name,
            groups=json.dumps(claim.groups),
            attributes=json.dumps(claim.attributes),
            created_at=claim.created_at,
            created_by=claim.created_by,
            expires_at=claim.expires_at,
        )
        .returning(*_COLUMNS)
    ).one()
    return _claim(row)


def require_code_room(connection: Connection, tenant: str, most: int, at: int) -> None:
    """Raises ``Conflict`` (``limit_reached``) where a tenant has ``most`` open codes."""
    require_room(
        connection,
        claim_codes,
        most,
        claim_codes.c.tenant == tenant,
        claim_codes.c.expires_at > at,
        claim_codes.c.revoked_at.is_(None),
        claim_codes.c.claimed_at.is_(None),
        what="open claim codes",
        setting="claim_codes_max_per_tenant",
    )


def by_digest(connection: Connection, digest: str, *, lock: bool = False) -> ClaimCode | None:
    """``lock``: for a use of the code; of two devices with one code, one is first."""
    statement = sa.select(*_COLUMNS).where(claim_codes.c.digest == digest)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return None if row is None else _claim(row)


def by_id(connection: Connection, actor: Actor, number: int) -> ClaimCode | None:
    statement = sa.select(*_COLUMNS).where(claim_codes.c.id == number)
    row = connection.execute(walled(statement, claim_codes.c.tenant, actor)).first()
    return None if row is None else _claim(row)


def page(
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    before: int | None = None,
    tenant: str | None = None,
) -> list[ClaimCode]:
    """The newest first; ``before`` continues below that number."""
    statement = sa.select(*_COLUMNS).order_by(claim_codes.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(claim_codes.c.id < before)
    if tenant is not None:
        statement = statement.where(claim_codes.c.tenant == tenant)
    rows = connection.execute(walled(statement, claim_codes.c.tenant, actor))
    return [_claim(row) for row in rows]


def use(connection: Connection, number: int, *, hardware: str, device_id: int, at: int) -> None:
    connection.execute(
        sa.update(claim_codes)
        .where(claim_codes.c.id == number)
        .values(claimed_at=at, hardware_id=hardware, device_id=device_id)
    )


def revoke(connection: Connection, number: int, at: int) -> None:
    connection.execute(
        sa.update(claim_codes)
        .where(claim_codes.c.id == number, claim_codes.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )


def withdraw(connection: Connection, number: int, at: int) -> None:
    """Revokes one that is not used."""
    connection.execute(
        sa.update(claim_codes)
        .where(
            claim_codes.c.id == number,
            claim_codes.c.revoked_at.is_(None),
            claim_codes.c.claimed_at.is_(None),
        )
        .values(revoked_at=at)
    )
