"""Audit of a device: who changed what of it."""

from __future__ import annotations

from typing import Any

from mooring.audit import log as audit_log
from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.page import Action, Page
from mooring.identity.actor import Role

__all__ = ["ACTIONS", "PAGES"]

PAGE_SIZE = 50


def view(call: Call) -> dict[str, Any]:
    """The newest first."""
    found = opened(call)
    before = call.query.number("before", 0, ge=1) or None
    about = (found.device.tenant, found.device.reference)
    with call.app.database.read() as connection:
        rows = audit_log.rows(connection, call.who, limit=PAGE_SIZE + 1, before=before, about=about)
    shown = rows[:PAGE_SIZE]
    return {
        **frame(found, "audit"),
        "entries": shown,
        "next_page": call.query.with_(before=shown[-1]["id"]) if len(rows) > PAGE_SIZE else "",
    }


PAGE = Page(
    "/devices/{device}/audit",
    "Audit",
    view,
    "device/audit",
    role=Role.ADMIN,
    place="/devices",
)
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
