"""``mooring device set``: attributes of one device."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli import device as device_commands
from mooring.cli.attributes import show_attributes
from mooring.cli.frame import Session, command
from mooring.cli.output import clean
from mooring.cli.words import Reason
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.devices.attributes import model, service, words

__all__ = ["device_set"]


@command(device_commands.app, "set")
def device_set(
    session: Session,
    reference: device_commands.Reference,
    attributes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE...", help="Attributes, also tag+=TAG and tag-=TAG for one tag."
        ),
    ] = None,
    *,
    unset: Annotated[
        list[str] | None,
        typer.Option("--unset", metavar="NAME", help="Attribute to remove. May be repeated."),
    ] = None,
    reason: Reason = "",
) -> None:
    """Set attributes of a device. Other sources do not replace a value set here."""
    found = words.assignments(attributes or ())
    values = {**found.values, **dict.fromkeys(unset or ())}
    tags = None
    if found.add or found.remove:
        tags = service.Tags(tuple(found.add), tuple(found.remove))
    if not values and tags is None:
        raise Invalid(
            "No attribute was given.",
            hint="Use NAME=VALUE, tag+=TAG or --unset NAME.",
            code="invalid_attribute",
        )
    with session.open() as platform:
        device, held = platform.attributes.change(
            session.actor, reference, values, tags=tags, reason=reason
        )
    if session.out.as_json:
        session.out.document(
            {
                "device": device.name,
                "tenant": device.tenant,
                "attributes": model.document(held),
            }
        )
        return
    session.out.say(f"Changed {clean(device.reference)}.")
    show_attributes(session, held)
