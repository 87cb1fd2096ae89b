"""``mooring tenant``: the owners of devices."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import clean
from mooring.later import later

with later():
    from mooring.people import documents

__all__ = ["app"]

app = noun("Owners of devices, isolated from each other.")


@command(app, "list")
def list_(session: Session) -> None:
    """List tenants by name."""
    with session.open() as platform:
        names = platform.people.tenants(session.actor)
    if session.out.as_json:
        session.out.document({"tenants": [documents.tenant(name) for name in names]})
        return
    session.out.table(
        ["Tenant"],
        [[name] for name in names],
        empty="No tenants yet. Adding a device creates its tenant, or use `mooring tenant add "
        "NAME`.",
    )


@command(app, "add")
def add(
    session: Session, name: Annotated[str, typer.Argument(help="Tenant name used in topics.")]
) -> None:
    """Add a tenant before its first device."""
    with session.open() as platform:
        platform.people.add_tenant(session.actor, name)
    if session.out.as_json:
        session.out.document(documents.tenant(name))
    else:
        session.out.say(f"Added the tenant {clean(name)}.")
