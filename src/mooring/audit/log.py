"""SQL of the audit: who changed what."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.store.engine import now_ms
from mooring.store.schema import audit

__all__ = ["record", "rows"]

_RECORD = sa.insert(audit)


def record(
    connection: Connection,
    actor: Actor,
    action: str,
    subject: str,
    *,
    tenant: str | None = None,
    reason: str = "",
) -> None:
    """Appends to the audit in the caller's transaction. No secret may be passed."""
    row = {
        "at": now_ms(),
        "actor": actor.name,
        "origin": actor.origin,
        "action": action,
        "subject": subject,
        "tenant": tenant,
        "reason": reason,
    }
    connection.execute(_RECORD, row)


def rows(
    connection: Connection, actor: Actor, *, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """The newest entries first; ``before`` continues below that id."""
    statement = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(audit.c.id < before)
    statement = walled(statement, audit.c.tenant, actor)
    return [dict(row) for row in connection.execute(statement).mappings()]
