"""``mooring audit``: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago
from mooring.cli.words import Limit
from mooring.later import later

with later():
    from mooring.audit import documents
    from mooring.audit import log as audit_log

__all__ = ["app"]

app = noun("Who changed what, and when.")


@command(app, "list")
def list_(
    session: Session,
    *,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option("--before", help="Continue after the entry with this number.")
    ] = None,
) -> None:
    """List changes, newest first."""
    with session.open() as platform, platform.database.read() as connection:
        found = audit_log.rows(connection, session.actor, limit=limit + 1, before=before)
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "audit": [documents.entry(row) for row in shown],
                "next_before": shown[-1]["id"] if more else None,
            }
        )
        return
    session.out.table(
        ["When", "Who", "From", "What", "Of", "Tenant", "Why"],
        [
            [
                ago(row["at"]),
                row["actor"],
                row["origin"],
                row["action"],
                row["subject"],
                row["tenant"],
                row["reason"],
            ]
            for row in shown
        ],
        empty="No changes yet.",
    )
    if more:
        session.out.note(
            f"More are available. --before {shown[-1]['id']} shows the next ones, or raise --limit."
        )
