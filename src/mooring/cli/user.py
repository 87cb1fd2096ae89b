"""``mooring user``: people who can log in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean
from mooring.cli.words import (
    Limit,
    OnlyTenant,
    PasswordStdin,
    RoleOption,
    RoleWord,
    Yes,
    read_password,
)
from mooring.later import later

with later():
    from mooring.identity import actor
    from mooring.people import documents
    from mooring.people import model as people_model

if TYPE_CHECKING:
    pass

__all__ = ["app"]

app = noun("People who can log in.")

Name = Annotated[str, typer.Argument(help="Login name.")]
SHOWN_ONCE = "It is shown only once and is not stored."


@command(app, "add")
def add(
    session: Session,
    name: Name,
    *,
    role: RoleOption = RoleWord.VIEWER,
    tenant: OnlyTenant = None,
    password_stdin: PasswordStdin = False,
) -> None:
    """Add a user. Prints a generated password unless one is given."""
    password = read_password(from_stdin=password_stdin)
    with session.open() as platform:
        user, generated = platform.people.add(
            session.actor, people_model.NewUser(name, actor.Role.of(role), tenant, password)
        )
    if session.out.as_json:
        session.out.document({**documents.user(user), "password": generated})
        return
    session.out.say(f"Added {clean(user.name)} as {role}.")
    if generated:
        session.out.say(f"Password: {generated}\n{SHOWN_ONCE}")


@command(app, "list")
def list_(
    session: Session,
    *,
    limit: Limit = 50,
    after: Annotated[str, typer.Option("--after", help="Continue after this name.")] = "",
) -> None:
    """List users by name."""
    with session.open() as platform:
        found = platform.people.users(session.actor, limit=limit + 1, after=after)
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "users": [documents.user(user) for user in shown],
                "next_after": shown[-1].name if more else None,
            }
        )
        return
    session.out.table(
        ["User", "Role", "Tenant", "State", "Added"],
        [
            [
                user.name,
                user.role.name.lower(),
                user.tenant or "all",
                "disabled" if user.disabled else "enabled",
                ago(user.created_at),
            ]
            for user in shown
        ],
        empty="No users yet. Add one with `mooring user add NAME --role admin`.",
    )
    if more:
        session.out.note(
            f"More are available. --after {shown[-1].name} shows the next ones, or raise --limit."
        )


@command(app, "password")
def password(session: Session, name: Name, *, password_stdin: PasswordStdin = False) -> None:
    """Set a new password for a user. Existing logins end."""
    given = read_password(from_stdin=password_stdin)
    with session.open() as platform:
        generated = platform.people.set_password(session.actor, name, given)
    if session.out.as_json:
        session.out.document({"name": name, "password": generated})
        return
    session.out.say(f"{clean(name)} has a new password.")
    if generated:
        session.out.say(f"Password: {generated}\n{SHOWN_ONCE}")


@command(app, "logout")
def logout(session: Session, name: Name) -> None:
    """End all logins of a user. The user can log in again."""
    with session.open() as platform:
        platform.people.end_sessions(session.actor, name)
    if session.out.as_json:
        session.out.document({"name": name, "logged_out": True})
    else:
        session.out.say(f"{clean(name)} is logged out everywhere.")


@command(app, "disable")
def disable(session: Session, name: Name) -> None:
    """Disable a user. Existing logins end."""
    _set_disabled(session, name, disabled=True)


@command(app, "enable")
def enable(session: Session, name: Name) -> None:
    """Enable a user."""
    _set_disabled(session, name, disabled=False)


@command(app, "remove")
def remove(session: Session, name: Name, *, yes: Yes = False) -> int | None:
    """Remove a user. Existing logins end."""
    with session.open() as platform:
        user = platform.people.user(session.actor, name)
        if not session.confirm(f"Remove {clean(user.name)}?", yes=yes):
            session.out.note("Nothing was removed.")
            return 1
        platform.people.remove(session.actor, name)
    if session.out.as_json:
        session.out.document({"removed": documents.user(user)})
    else:
        session.out.say(f"Removed {clean(name)}.")
    return None


def _set_disabled(session: Session, name: str, *, disabled: bool) -> None:
    with session.open() as platform:
        user = platform.people.set_disabled(session.actor, name, disabled=disabled)
    if session.out.as_json:
        session.out.document({**documents.user(user), "disabled": disabled})
    else:
        session.out.say(f"{clean(name)} is {'disabled' if disabled else 'enabled'}.")
