"""Attributes as the command line reads and shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session
from mooring.cli.output import ago
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.devices.attributes import model, words

if TYPE_CHECKING:
    from mooring.devices.attributes.model import Held

__all__ = ["AttributeOption", "given", "show_attributes", "shown_value"]

AttributeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME=VALUE",
        help="Attribute of the device, such as type=plug or tags=a,b. May be repeated.",
    ),
]


def given(attributes: Iterable[str] | None) -> dict[str, object]:
    """The values of ``--attribute``.

    Raises:
        Invalid: ``invalid_attribute``: one has another form.
    """
    found = words.assignments(attributes or ())
    if found.add or found.remove:
        raise Invalid(
            "A new device has no tags yet.",
            hint="Use tags=TAG,TAG.",
            code="invalid_attribute",
        )
    return found.values


def shown_value(held: Mapping[str, Held], name: str) -> str:
    """One attribute as a table shows it; empty where the device has none."""
    if name not in held:
        return ""
    value = model.plain(name, held[name].value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return f"{value['lat']:g}, {value['lon']:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def show_attributes(session: Session, held: Mapping[str, Held]) -> None:
    """A table of the attributes, where the device has any."""
    if not held:
        return
    session.out.say()
    session.out.table(
        ["Attribute", "Value", "Source", "Set"],
        [
            [
                name,
                shown_value(held, name),
                " ".join((held[name].source, by)).strip(),
                ago(held[name].at),
            ]
            for name in model.document(held)
            for by in ("" if held[name].source in held[name].actor else held[name].actor,)
        ],
        empty="",
    )


def _source(one: Held) -> str:
    """``person ada``, ``claim 12``, ``device``."""
    if one.source is model.Source.CLAIM:
        return one.actor or str(one.source)
    return f"{one.source} {one.actor}".strip()
