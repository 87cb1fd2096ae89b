"""``mooring key``: API keys for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean
from mooring.cli.words import Limit, OnlyTenant, RoleOption, RoleWord, ScopeOption
from mooring.durations import seconds_of
from mooring.later import later

with later():
    from mooring.identity import actor, scopes
    from mooring.people import documents
    from mooring.people import model as people_model
    from mooring.store import engine

if TYPE_CHECKING:
    from mooring.people.model import ApiKey

__all__ = ["app"]

app = noun("API keys for programs.")


@command(app, "new")
def new(
    session: Session,
    name: Annotated[str, typer.Argument(help="Purpose of the login.")],
    *,
    role: RoleOption = RoleWord.VIEWER,
    scope: ScopeOption = None,
    tenant: OnlyTenant = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="Validity of the key, such as 90d.")
    ] = None,
) -> None:
    """Create an API key. The secret is printed only once."""
    until = engine.now_ms() + int(seconds_of(expires) * 1000) if expires else None
    with session.open() as platform:
        wanted = frozenset(scope) if scope else None
        issued = platform.people.add_key(
            session.actor, people_model.NewKey(name, actor.Role.of(role), tenant, until, wanted)
        )
    if session.out.as_json:
        session.out.document({**documents.key(issued.key), "secret": issued.secret})
        return
    session.out.say(
        f"The key {clean(name)} ({issued.key.prefix}) has the role {role}"
        f"{_and_scopes(issued.key)}.\n"
        f"Secret: {issued.secret}\n"
        "It is shown only once and is not stored. Send it as: Authorization: Bearer SECRET"
    )


@command(app, "list")
def list_(
    session: Session,
    *,
    limit: Limit = 50,
    before: Annotated[
        int | None, typer.Option("--before", help="Continue after the key with this number.")
    ] = None,
) -> None:
    """List keys, newest first. Secrets are not shown."""
    with session.open() as platform:
        found = platform.people.keys(session.actor, limit=limit + 1, before=before)
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "keys": [documents.key(key) for _, key in shown],
                "next_before": shown[-1][0] if more else None,
            }
        )
        return
    session.out.table(
        ["Key", "Name", "Role", "Scopes", "Tenant", "State", "Made"],
        [
            [
                key.prefix,
                key.name,
                key.role.name.lower(),
                _scopes(key) or "all",
                key.tenant or "all",
                _state(key),
                ago(key.created_at),
            ]
            for _, key in shown
        ],
        empty="No API keys yet. Create one with `mooring key new NAME --role viewer`.",
    )
    if more:
        session.out.note(
            f"More are available. --before {shown[-1][0]} shows the next ones, or raise --limit."
        )


@command(app, "revoke")
def revoke(
    session: Session,
    prefix: Annotated[
        str, typer.Argument(metavar="KEY", help="Prefix of the key, from `mooring key list`.")
    ],
) -> None:
    """Revoke a key immediately."""
    with session.open() as platform:
        platform.people.revoke_key(session.actor, prefix)
    if session.out.as_json:
        session.out.document({"revoked": prefix})
    else:
        session.out.say(f"The key {clean(prefix)} is revoked.")


def _scopes(key: ApiKey) -> str:
    """Empty: it is not restricted."""
    return scopes.written(key.scopes) or ""


def _and_scopes(key: ApiKey) -> str:
    return f" and only the scopes {_scopes(key)}" if key.scopes is not None else ""


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {ago(key.revoked_at)}"
    if key.expires_at is None:
        return "good"
    when = ago(key.expires_at)
    return f"expires {when}" if when.startswith("in") else f"expired {when}"
