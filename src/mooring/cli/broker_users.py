"""``mooring broker users``: broker logins for programs other than devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.asking import told
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean, iso
from mooring.cli.words import Limit, PasswordStdin, Yes, read_password
from mooring.later import later

with later():
    from mooring.broker import users as broker_users
    from mooring.identity import account

if TYPE_CHECKING:
    from mooring.broker.users import BrokerUser

__all__ = ["app", "user_document"]

app = noun("Broker logins for programs other than devices, such as bridges and dashboards.")

Name = Annotated[str, typer.Argument(metavar="USERNAME", help="Username.")]


@command(app, "create")
def create(
    session: Session,
    username: Name,
    *,
    read: Annotated[
        list[str] | None,
        typer.Option("--read", help="Topic filter it may subscribe to. May be repeated."),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option("--write", help="Topic filter it may publish to. May be repeated."),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Purpose of the login.")] = "",
    password_stdin: PasswordStdin = False,
) -> None:
    """Create a login with rights to topics. The password is printed only once."""
    password = read_password(from_stdin=password_stdin)
    rights = account.Rights(tuple(write or ()), tuple(read or ()))
    user = broker_users.BrokerUser(username, rights, note)
    with session.open() as platform:
        secret, changes = platform.broker_users.create(session.actor, user, password=password)
        applied = told(platform, changes)
    _say_password(session, username, secret, applied, given=password is not None, verb="created")


@command(app, "list")
def list_(
    session: Session,
    *,
    limit: Limit = 50,
    after: Annotated[str, typer.Option("--after", help="Continue after this name.")] = "",
) -> None:
    """List logins other than devices by name, with their rights."""
    with session.open() as platform:
        found = platform.broker_users.page(session.actor, limit=limit + 1, after=after)
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "users": [user_document(user) for user in shown],
                "next_after": shown[-1].username if more else None,
            }
        )
        return
    session.out.table(
        ["Username", "Password", "Writes", "Reads", "Note", "Added"],
        [
            [
                u.username,
                "yes" if u.has_password else "none yet",
                ", ".join(u.rights.publish),
                ", ".join(u.rights.subscribe),
                u.note,
                ago(u.created_at),
            ]
            for u in shown
        ],
        empty="No broker users. Devices are listed by `mooring device list`.",
    )
    if more:
        session.out.note(f"More are available. --after {clean(shown[-1].username)} continues.")


@command(app, "password")
def password_(session: Session, username: Name, *, password_stdin: PasswordStdin = False) -> None:
    """Give a login a new password, printed only once. Its sessions end."""
    given = read_password(from_stdin=password_stdin)
    with session.open() as platform:
        secret, changes = platform.broker_users.set_password(
            session.actor, username, password=given
        )
        applied = told(platform, changes)
    _say_password(session, username, secret, applied, given=given is not None, verb="changed")


@command(app, "delete")
def delete(session: Session, username: Name, *, yes: Yes = False) -> int | None:
    """Delete a login. Its sessions end."""
    with session.open() as platform:
        platform.broker_users.get(session.actor, username)
        if not session.confirm(f"Delete the broker user {clean(username)}?", yes=yes):
            session.out.note("Nothing was deleted.")
            return 1
        changes = platform.broker_users.delete(session.actor, username)
        applied = told(platform, changes)
    if session.out.as_json:
        session.out.document({"deleted": username, "applied_by_broker": applied})
    else:
        session.out.say(f"Deleted {clean(username)}. {_follows(applied)}")
    return None


def user_document(user: BrokerUser) -> dict[str, Any]:
    """A broker user in JSON, without any secret."""
    return {
        "username": user.username,
        "has_password": user.has_password,
        "write": list(user.rights.publish),
        "read": list(user.rights.subscribe),
        "note": user.note,
        "created_at": iso(user.created_at),
    }


def _say_password(
    session: Session, username: str, secret: str, applied: bool, *, given: bool, verb: str
) -> None:
    if session.out.as_json:
        session.out.document(
            {
                "username": username,
                "password": None if given else secret,
                "applied_by_broker": applied,
            }
        )
        return
    session.out.say(f"{clean(username)} is {verb}. {_follows(applied)}")
    if not given:
        session.out.say(f"\n  password   {secret}\n\nIt is shown only once and is not stored.")


def _follows(applied: bool) -> str:
    return "The broker has applied the change." if applied else "It applies when the broker runs."
