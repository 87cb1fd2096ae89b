"""Routes of the audit."""

from __future__ import annotations

from typing import Any

from mooring.audit import documents
from mooring.audit.log import rows as audit_rows
from mooring.identity.actor import Role
from mooring.web.auth import Who
from mooring.web.fields import Document, Time
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import DatabaseNow

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["platform"])


class AuditOut(Document):
    """Who changed what."""

    id: int
    at: Time
    actor: str
    origin: str
    action: str
    subject: str
    tenant: str | None
    reason: str


@router.get("/audit", response_model=PageOf[AuditOut])
def audit(database: DatabaseNow, who: Who, paging: PagingDep) -> PageOf[dict[str, Any]]:
    """Who changed what, the newest first."""
    who.require(Role.ADMIN, who.tenant)
    (before,) = paging.key(int) or (None,)
    with database.read() as connection:
        rows = audit_rows(
            connection,
            who,
            limit=paging.limit + 1,
            before=int(before) if before is not None else None,
        )
    return paging.cut([documents.entry(row) for row in rows], lambda row: (row["id"],))
