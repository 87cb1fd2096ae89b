"""``mooring retention``: how long messages and roll-ups are kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.words import Yes
from mooring.later import later

with later():
    from mooring.retention import sweep

__all__ = ["app"]

app = noun("Retention of messages and roll-ups.")

Whose = Annotated[str, typer.Option("--tenant", help="Only this tenant.")]
What = Annotated[
    str,
    typer.Option("--kind", help="Kind of message, rollup_minutes or rollups."),
]


@command(app, "list")
def list_(session: Session) -> None:
    """List retention periods: the settings, and the rules that override them."""
    with session.open() as platform:
        policy = platform.retention.policy()
        rules = platform.retention.rules(session.actor)
    defaults = {
        "messages": policy.messages,
        "rollup_minutes": policy.minutes,
        "rollups": policy.rollups,
    }
    if session.out.as_json:
        session.out.document(
            {
                "settings": defaults,
                "rules": [{"tenant": r.tenant, "kind": r.kind, "days": r.days} for r in rules],
            }
        )
        return
    rows: list[list[Any]] = [
        ["all", what, _days(days), "settings"] for what, days in defaults.items()
    ]
    rows += [[r.tenant or "all", r.kind or "messages", _days(r.days), "rule"] for r in rules]
    session.out.table(["Tenant", "Kind", "Days", "From"], rows, right=["Days"])


@command(app, "set")
def set_(
    session: Session,
    days: Annotated[int, typer.Argument(help="Days to keep. 0 keeps messages indefinitely.")],
    *,
    tenant: Whose = "",
    kind: What = "",
    yes: Yes = False,
) -> int:
    """Add a rule. Older messages are permanently deleted."""
    of = f"{tenant or 'every tenant'}, {kind or 'messages of every kind'}"
    if days and not session.confirm(f"Delete messages older than {days} days ({of})?", yes=yes):
        return 1
    with session.open() as platform:
        platform.retention.set(session.actor, days=days, tenant=tenant, kind=kind)
    if session.out.as_json:
        session.out.document({"tenant": tenant, "kind": kind, "days": days})
    else:
        session.out.say(f"Kept {_days(days)} days: {of}." if days else f"Kept indefinitely: {of}.")
    return 0


@command(app, "unset")
def unset(session: Session, *, tenant: Whose = "", kind: What = "") -> None:
    """Remove a rule. The other rules and the settings apply again."""
    with session.open() as platform:
        platform.retention.unset(session.actor, tenant=tenant, kind=kind)
    if session.out.as_json:
        session.out.document({"tenant": tenant, "kind": kind, "days": None})
    else:
        session.out.say("Removed the rule.")


@command(app, "run")
def run(session: Session) -> None:
    """Delete expired messages now instead of within the hour."""
    swept = sweep.Swept()
    with session.open() as platform, session.out.count("Deleting", "rows") as report:
        for swept in platform.retention.run(session.actor):
            report(swept.messages + swept.rollups)
    if session.out.as_json:
        session.out.document(
            {
                "messages": swept.messages,
                "rollups": swept.rollups,
                "partitions": swept.partitions,
            }
        )
        return
    session.out.say(f"{swept.messages} messages and {swept.rollups} roll-ups deleted.")
    if swept.partitions:
        session.out.say(f"{swept.partitions} whole weeks of messages dropped.")


def _days(days: int) -> str:
    return str(days) if days else "indefinitely"
