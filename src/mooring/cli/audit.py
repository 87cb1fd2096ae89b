"""``mooring audit``: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit
from mooring.later import later

with later():
    from mooring.audit import log as audit_log

__all__ = ["app"]

app = noun("Who changed what, and when.")


@command(app, "list")
def list_(
    session: Session,
    *,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option("--before", help="Go on below the entry with this number.")
    ] = None,
) -> None:
    """List changes, the newest first."""
    with session.open() as platform, platform.database.read() as connection:
        found = audit_log.rows(connection, session.actor, limit=limit + 1, before=before)
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "audit": [{**row, "at": iso(row["at"])} for row in shown],
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
        empty="Nothing has been changed yet.",
    )
    if more:
        session.out.note(f"There are more: --before {shown[-1]['id']} goes on, or raise --limit.")
