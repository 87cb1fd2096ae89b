"""Options that several nouns share."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from mooring.errors import Invalid
from mooring.identity.scopes import Scope

__all__ = [
    "Limit",
    "OnlyTenant",
    "PasswordStdin",
    "Reason",
    "RoleOption",
    "RoleWord",
    "ScopeOption",
    "Yes",
    "read_password",
]


class RoleWord(StrEnum):
    """``mooring.identity.actor.Role`` as an option value."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


RoleOption = Annotated[
    RoleWord,
    typer.Option(
        "--role", help="Role: viewer (read), operator (change devices), admin (everything)."
    ),
]
ScopeOption = Annotated[
    list[Scope] | None,
    typer.Option(
        "--scope", help="What the key may be used for; repeatable. Default: all that the role may"
    ),
]
OnlyTenant = Annotated[
    str | None,
    typer.Option("--tenant", help="Restrict access to this tenant. Default: all tenants"),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Reason = Annotated[str, typer.Option("--reason", help="Reason, stored in the audit log.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of results.")]
PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input."),
]


def read_password(*, from_stdin: bool) -> str | None:
    """The first line of standard input, or ``None`` so that a password is generated.

    A password is never an option: other users of the machine can read those.
    """
    if not from_stdin:
        return None
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Invalid(
            "Standard input holds no password.",
            hint="Write it there as one line, or omit --password-stdin to have one generated.",
        )
    return password
