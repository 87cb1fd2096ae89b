"""Audit: who changed what."""

from __future__ import annotations

from typing import Any

from mooring.audit import log as audit_log
from mooring.dashboard.call import Call
from mooring.dashboard.data import newer
from mooring.dashboard.page import Action, Nav, Page
from mooring.identity.actor import Role

__all__ = ["ACTIONS", "PAGES"]

LISTED = 100


def view(call: Call) -> dict[str, Any]:
    """The newest first."""
    before = call.query.number("before", 0) or None
    with call.app.database.read() as connection:
        rows = audit_log.rows(connection, call.who, limit=LISTED + 1, before=before)
    older = rows[LISTED - 1]["id"] if len(rows) > LISTED else None
    return {
        "rows": rows[:LISTED],
        "older": f"/audit?before={older}" if older else "",
        "newer": newer.topic("audit") if before is None else "",
        "since": rows[0]["id"] if rows else 0,
    }


PAGE = Page("/audit", "Audit", view, "audit", role=Role.ADMIN, nav=Nav("run", 50, "Audit", "u"))
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
