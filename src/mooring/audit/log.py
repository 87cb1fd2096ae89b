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
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    before: int | None = None,
    about: tuple[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The newest entries first; ``before`` continues below that id.

    Args:
        about: tenant and reference of the device of which entries are listed.
    """
    statement = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(audit.c.id < before)
    if about is not None:  # its reference is alone, or before what was changed of it
        tenant, device = about
        subject = audit.c.subject
        statement = statement.where(
            audit.c.tenant == tenant,
            sa.or_(
                subject == device,
                *(subject.startswith(device + mark, autoescape=True) for mark in (":", " ")),
            ),
        )
    statement = walled(statement, audit.c.tenant, actor)
    return [dict(row) for row in connection.execute(statement).mappings()]
