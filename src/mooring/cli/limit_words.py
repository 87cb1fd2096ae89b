"""Limits of devices and tenants as option values and in output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session
from mooring.cli.output import clean
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.limits import documents

if TYPE_CHECKING:
    from mooring.identity.account import Quota
    from mooring.limits.service import Limited

__all__ = ["Bytes", "Connections", "Messages", "changed", "say", "value_of"]

VALUE = "A number, `none` for no limit, or `default` for the setting."

Connections = Annotated[
    str | None, typer.Option("--connections", help=f"Maximum connections. {VALUE}")
]
Messages = Annotated[
    str | None, typer.Option("--messages", help=f"Maximum published messages per second. {VALUE}")
]
Bytes = Annotated[
    str | None,
    typer.Option(
        "--bytes", help=f"Maximum published bytes (topics and payloads) per second. {VALUE}"
    ),
]


def value_of(text: str) -> int | None:
    """A limit from its option value: ``None`` for ``default``, 0 for ``none``.

    Raises:
        Invalid: it is not one of these.
    """
    word = text.strip().lower().replace(",", "").replace("_", "")
    if word in ("default", "none"):
        return None if word == "default" else 0
    if not word.isascii() or not word.isdigit() or int(word) == 0:
        raise Invalid(
            f"{text[:40]!a} is not a valid limit.",
            hint="Use a number, `none` for no limit, or `default` for the setting.",
            code="invalid_limit",
        )
    return int(word)


def changed(
    own: Quota, connections: str | None, messages: str | None, bytes_: str | None
) -> Quota | None:
    """The own values with the given changes; ``None`` without any."""
    given = {
        name: value_of(text)
        for name, text in (
            ("connections", connections),
            ("messages", messages),
            ("bytes", bytes_),
        )
        if text is not None
    }
    return replace(own, **given) if given else None


def say(
    session: Session, tenant: str, device: str | None, found: Limited, applied: bool | None
) -> None:
    """Prints limits. ``applied``: whether the broker has applied them; ``None`` without a
    change."""
    names = ("connections", "messages", "bytes")
    if session.out.as_json:
        changes = {} if applied is None else {"applied_by_broker": applied}
        session.out.document({**documents.limits(tenant, device, found), **changes})
        return
    of = "device" if device is not None else "tenant"
    session.out.facts([(of, clean(device if device is not None else tenant))])
    session.out.table(
        ["Limit", "In force", "From"],
        [
            [
                name if name == "connections" else f"{name} a second",
                "none" if (value := getattr(found.in_force, name)) is None else f"{value:,}",
                "the settings" if getattr(found.own, name) is None else f"this {of}",
            ]
            for name in names
        ],
        right=["In force"],
    )
    if not found.enforced:
        session.out.note(
            "The broker does not apply these limits, because they need Mooring's plugin."
        )
    elif applied is False:
        session.out.note("The broker applies them when it runs.")
