"""``mooring tenant limits``: broker limits of all devices of a tenant."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli import tenant as tenant_commands
from mooring.cli.frame import Session, command
from mooring.cli.limit_words import Bytes, Connections, Messages, changed, say
from mooring.cli.words import Reason
from mooring.later import later

with later():
    from mooring.changes import waiting

__all__ = ["tenant_limits"]


@command(tenant_commands.app, "limits")
def tenant_limits(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="TENANT", help="Tenant name used in topics.")],
    *,
    connections: Connections = None,
    messages: Messages = None,
    bytes_: Bytes = None,
    reason: Reason = "",
) -> None:
    """Show or change the broker limits of all devices of a tenant together."""
    applied = None
    with session.open() as platform:
        found = platform.limits.of_tenant(session.actor, name)
        own = changed(found.own, connections, messages, bytes_)
        if own is not None:
            found, changes = platform.limits.set_of_tenant(session.actor, name, own, reason=reason)
            applied = waiting.wait_for_broker(platform.database, changes)
    say(session, name, None, found, applied)
