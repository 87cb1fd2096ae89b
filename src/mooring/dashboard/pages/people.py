"""People, API keys and tenants."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Nav, Page, Redirect, Shown
from mooring.identity.actor import Role
from mooring.people.model import NewKey, NewUser
from mooring.people.passwords import MAX_CHARACTERS
from mooring.people.service import People

__all__ = ["ACTIONS", "PAGES"]

LISTED = 200
DAY_MS = 86_400_000
ROLES = [
    ("viewer", "viewer: reads"),
    ("operator", "operator: changes devices, sends commands"),
    ("admin", "admin: also people, keys, broker"),
]
WORDS = tuple(word for word, _ in ROLES)


def view(call: Call) -> dict[str, Any]:
    """Everybody of one's tenant, or all."""
    people = call.service(People)
    after, before = call.query.text("after", max=128), call.query.number("before", 0) or None
    users = people.users(call.who, limit=LISTED + 1, after=after)
    keys = people.keys(call.who, limit=LISTED + 1, before=before)
    return {
        "users": users[:LISTED],
        "more_users": f"/people{call.query.with_(after=users[LISTED - 1].name)}"
        if len(users) > LISTED
        else "",
        "keys": [(key, _state(call, key.revoked_at, key.expires_at)) for _, key in keys[:LISTED]],
        "more_keys": f"/people{call.query.with_(before=keys[LISTED - 1][0])}#keys"
        if len(keys) > LISTED
        else "",
        "tenants": people.tenants(call.who, limit=500),
        "roles": ROLES,
    }


def _state(call: Call, revoked_at: int | None, expires_at: int | None) -> tuple[str, str]:
    if revoked_at is not None:
        return "bad", "Revoked"
    if expires_at is not None and expires_at <= call.now:
        return "warn", "Expired"
    return "ok", "Valid"


def _tenant(call: Call) -> str | None:
    return call.who.tenant or call.form.text("tenant", "Tenant", max=128) or None


def add_user(call: Call) -> Shown | Redirect:
    """Somebody new; a generated password is on this page alone."""
    form = call.form
    name = form.text("name", "Name", needed=True, max=128)
    role = form.choice("role", "Role", WORDS)
    password = form.text("password", "Password", max=MAX_CHARACTERS, keep=True) or None
    tenant = _tenant(call)
    form.check()
    user, made = call.service(People).add(call.who, NewUser(name, Role.of(role), tenant, password))
    if made is None:
        return call.redirect("/people", f"{user.name} was added.")
    facts = [("Name", user.name), ("Password", made)]
    return _secret("New person", facts, f"{user.name} was added.")


def _secret(title: str, facts: list[tuple[str, str]], said: str) -> Shown:
    values = {"said": said, "facts": facts, "back": "/people"}
    return Shown(values, "secret", secret=True, title=title)


def set_disabled(call: Call) -> Redirect:
    """Sessions of a disabled person are rejected from now on."""
    disabled = call.form.choice("disabled", "State", ("0", "1")) == "1"
    call.form.check()
    user = call.service(People).set_disabled(call.who, call.path["name"], disabled=disabled)
    word = "disabled: every session has ended" if disabled else "enabled"
    return call.redirect("/people", f"{user.name} is {word}.")


def new_password(call: Call) -> Shown:
    """A generated password; existing sessions end."""
    name = call.path["name"]
    made = call.service(People).set_password(call.who, name, None) or ""
    said = f"{name} has a new password. Existing sessions have ended."
    return _secret("New password", [("Name", name), ("Password", made)], said)


def end_sessions(call: Call) -> Redirect:
    """Every session of a person ends."""
    name = call.path["name"]
    call.service(People).end_sessions(call.who, name)
    return call.redirect("/people", f"Every session of {name} has ended.")


def remove_user(call: Call) -> Redirect:
    """Removes a person."""
    name = call.path["name"]
    call.form.confirmed("confirm", name)
    call.form.check()
    call.service(People).remove(call.who, name)
    return call.redirect("/people", f"{name} was removed.")


def add_key(call: Call) -> Shown:
    """A key; its secret is on this page alone."""
    form = call.form
    name = form.text("name", "Name", needed=True, max=128)
    role = form.choice("role", "Role", WORDS)
    days = form.number("days", "Valid for days", default=0, ge=0, le=36_500)
    tenant = _tenant(call)
    form.check()
    expires = call.now + days * DAY_MS if days else None
    made = call.service(People).add_key(call.who, NewKey(name, Role.of(role), tenant, expires))
    said = f"The key {made.key.name} was created."
    return _secret("New API key", [("Name", made.key.name), ("Key", made.secret)], said)


def revoke_key(call: Call) -> Redirect:
    """Rejected from now on."""
    prefix = call.path["prefix"]
    call.service(People).revoke_key(call.who, prefix)
    return call.redirect("/people#keys", f"The key {prefix} was revoked.")


def add_tenant(call: Call) -> Redirect:
    """A tenant without devices."""
    name = call.form.text("name", "Name", needed=True, max=128)
    call.form.check()
    call.service(People).add_tenant(call.who, name)
    return call.redirect("/people#tenants", f"The tenant {name} was added.")


PAGE = Page(
    "/people",
    "People and keys",
    view,
    "people",
    role=Role.ADMIN,
    nav=Nav("run", 40, "People and keys", "p"),
)
PAGES = (PAGE,)
ACTIONS = (
    Action("/people", add_user, PAGE, role=Role.ADMIN),
    Action("/people/{name}/disabled", set_disabled, PAGE, role=Role.ADMIN),
    Action("/people/{name}/password", new_password, PAGE, role=Role.ADMIN),
    Action("/people/{name}/sessions", end_sessions, PAGE, role=Role.ADMIN),
    Action("/people/{name}/remove", remove_user, PAGE, role=Role.ADMIN),
    Action("/keys", add_key, PAGE, role=Role.ADMIN),
    Action("/keys/{prefix}/revoke", revoke_key, PAGE, role=Role.ADMIN),
    Action("/tenants", add_tenant, PAGE, role=Role.ADMIN, whole=True),
)
