"""``mooring tenant show`` and ``set``: limits of a tenant, and what it stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli import tenant as tenant_commands
from mooring.cli.frame import Session, command
from mooring.cli.limit_words import VALUE, value_of
from mooring.cli.output import ago, clean
from mooring.cli.words import Reason
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.changes import waiting
    from mooring.dialects import times
    from mooring.limits import documents
    from mooring.limits import tenants as service
    from mooring.store import usage

if TYPE_CHECKING:
    from mooring.limits.tenants import TenantState

__all__ = ["set_", "show"]

Name = Annotated[str, typer.Argument(metavar="TENANT", help="Tenant name used in topics.")]


@command(tenant_commands.app, "show")
def show(session: Session, name: Name) -> None:
    """Show a tenant, its limits and what it stores."""
    with session.open() as platform:
        found = platform.service(service.TenantLimits).show(session.actor, name)
    _print(session, found, None)


@command(tenant_commands.app, "set")
def set_(
    session: Session,
    name: Name,
    *,
    connections: Annotated[
        str | None, typer.Option("--connections", help=f"Maximum connections. {VALUE}")
    ] = None,
    messages: Annotated[
        str | None,
        typer.Option("--messages-per-second", help=f"Maximum published messages. {VALUE}"),
    ] = None,
    bytes_: Annotated[
        str | None,
        typer.Option("--bytes-per-second", help=f"Maximum topics and payloads. {VALUE}"),
    ] = None,
    disconnect: Annotated[
        str | None,
        typer.Option(
            "--disconnect-seconds",
            help=f"How long a device that exceeds a limit is disconnected. {VALUE}",
        ),
    ] = None,
    stored: Annotated[
        str | None,
        typer.Option(
            "--stored-bytes", help=f"Maximum stored messages; the oldest are deleted. {VALUE}"
        ),
    ] = None,
    dead_letters: Annotated[
        str | None, typer.Option("--dead-letter-bytes", help=f"Maximum dead letters. {VALUE}")
    ] = None,
    reason: Reason = "",
) -> None:
    """Change limits of a tenant. Limits that are not named stay as they are."""
    said = (connections, messages, bytes_, disconnect, stored, dead_letters)
    given = {
        key: value_of(text)
        for key, text in zip(service.NAMES, said, strict=True)
        if text is not None
    }
    if not given:
        raise Invalid(
            "No limit is named.",
            hint="Use an option, for example --stored-bytes 5000000000.",
            code="invalid_limit",
        )
    with session.open() as platform:
        tenants = platform.service(service.TenantLimits)
        found, changes = tenants.change(session.actor, name, given, reason=reason)
        applied = waiting.wait_for_broker(platform.database, changes)
    _print(session, found, applied)


def _print(session: Session, found: TenantState, applied: bool | None) -> None:
    if session.out.as_json:
        changes = {} if applied is None else {"applied_by_broker": applied}
        session.out.document({**documents.tenant(found), **changes})
        return
    used = found.usage
    oldest = used.oldest_day
    facts: list[tuple[str, object]] = [
        ("tenant", clean(found.name)),
        ("devices", f"{used.devices:,}"),
        ("stored messages", f"{used.messages:,}"),
        ("oldest", "none" if oldest is None else times.iso(oldest * usage.DAY_MS)[:10]),
    ]
    if used.displaced_at is not None:
        facts.append(
            (
                "deleted for the limit",
                f"{used.displaced_messages:,} messages, last {ago(used.displaced_at)}",
            )
        )
    session.out.facts(facts)
    inuse = {"stored_bytes": used.bytes, "dead_letter_bytes": used.dead_letter_bytes}
    session.out.table(
        ["Limit", "Used", "Limit in force", "From"],
        [
            [
                key.replace("_", " "),
                _used(inuse.get(key), most),
                "none" if most is None else f"{most:,}",
                "the settings" if found.own[key] is None else "this tenant",
            ]
            for key, most in found.in_force.items()
        ],
        right=["Used", "Limit in force"],
    )
    if not found.enforced:
        session.out.note(
            "The broker does not apply limits of connections, messages and bytes per second, "
            "because they need Mooring's plugin."
        )
    elif applied is False:
        session.out.note("The broker applies them when it runs.")


def _used(value: int | None, most: int | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if most is None else f"{value:,} ({value * 100 // most} %)"
