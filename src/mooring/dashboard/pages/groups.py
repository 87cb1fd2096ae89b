"""Groups: static and dynamic ones, their members, and what a change would do."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Nav, Page, Redirect
from mooring.groups.model import NewGroup
from mooring.groups.selector import Selector
from mooring.groups.service import DESCRIPTION_MAX, PRIORITY_MAX, Groups

__all__ = ["ACTIONS", "PAGES"]

LISTED = 100


def _tenants(call: Call) -> tuple[str, list[str]]:
    """The tenant that is shown, and those to choose from."""
    found = call.app.people.tenants(call.who, limit=200)
    chosen = call.who.tenant or call.query.text("tenant", max=128)
    if not chosen:
        chosen = "default" if "default" in found else next(iter(found), "default")
    return chosen, found


def view(call: Call) -> dict[str, Any]:
    """Groups of one tenant."""
    tenant, tenants = _tenants(call)
    after = call.query.text("after", max=128)
    groups = []
    if tenant in tenants:
        groups = call.service(Groups).page(call.who, tenant, after=after, limit=LISTED + 1)
    return {
        "tenant": tenant,
        "tenants": tenants,
        "groups": groups[:LISTED],
        "following": groups[LISTED - 1].group.name if len(groups) > LISTED else "",
    }


def create(call: Call) -> Redirect:
    """A new group."""
    form = call.form
    tenant = call.who.tenant or form.text("tenant", "Tenant", max=128) or "default"
    name = form.text("name", "Name", needed=True, max=128)
    kind = form.choice("kind", "Kind", ("static", "dynamic"))
    query = form.text("query", "Query", max=2000)
    if kind == "dynamic" and not query:
        form.wrong["query"] = "A dynamic group needs a query, for example room = kitchen."
    description = form.text("description", "Description", max=DESCRIPTION_MAX)
    priority = form.number("priority", "Priority", default=0, ge=-PRIORITY_MAX, le=PRIORITY_MAX)
    form.check()
    wanted = NewGroup(name, tenant, query if kind == "dynamic" else None, description, priority)
    made = call.service(Groups).create(call.who, wanted)
    devices = f" It has {made.devices:,} devices." if made.devices else ""
    return call.redirect(_address(tenant, name), f"The group {name} was created.{devices}")


def show(call: Call) -> dict[str, Any]:
    """One group with its first members."""
    tenant, name = call.path["tenant"], call.path["group"]
    groups = call.service(Groups)
    after = call.query.number("after", 0)
    found = groups.show(call.who, tenant, name)
    members = groups.members(call.who, tenant, name, after=after, limit=LISTED + 1)
    return {
        "title": name,
        "found": found,
        "members": members[:LISTED],
        "following": members[LISTED - 1].id if len(members) > LISTED else None,
        "address": _address(tenant, name),
        "conditions": groups.conditions(call.who, tenant, name),
    }


def change(call: Call) -> Redirect:
    """Query, description and priority."""
    tenant, name = call.path["tenant"], call.path["group"]
    form = call.form
    query = form.text("query", "Query", max=2000) if form.has("query") else None
    description = form.text("description", "Description", max=DESCRIPTION_MAX)
    priority = form.number("priority", "Priority", default=0, ge=-PRIORITY_MAX, le=PRIORITY_MAX)
    form.check()
    changed = call.service(Groups).change(
        call.who, tenant, name, query=query, description=description, priority=priority
    )
    number = "" if changed.devices is None else f" It has {changed.devices:,} devices."
    return call.redirect(_address(tenant, name), f"The group {name} was changed.{number}")


def _members(call: Call, *, add: bool) -> Redirect:
    tenant, name = call.path["tenant"], call.path["group"]
    given = call.form.text("devices", "Devices", needed=True, max=10_000, area=True)
    call.form.check()
    names = tuple(dict.fromkeys(given.replace(",", " ").split()))
    groups = call.service(Groups)
    act = groups.add if add else groups.drop
    done = act(call.who, name, Selector(tenant, names=names))
    verb = "added to" if add else "removed from"
    what = f"{done.devices:,} {'device was' if done.devices == 1 else 'devices were'} {verb} {name}"
    return call.redirect(_address(tenant, name), call.stored(what, done.changes))


def add(call: Call) -> Redirect:
    """Adds devices by name."""
    return _members(call, add=True)


def drop(call: Call) -> Redirect:
    """Takes devices out."""
    return _members(call, add=False)


def remove(call: Call) -> Redirect:
    """Removes the group; its devices stay."""
    tenant, name = call.path["tenant"], call.path["group"]
    call.form.confirmed("confirm", name)
    call.form.check()
    done = call.service(Groups).remove(call.who, tenant, name)
    to = f"/groups?tenant={quote(tenant, safe='')}"
    return call.redirect(to, call.stored(f"The group {name} was removed", done.changes))


def _address(tenant: str, name: str) -> str:
    return f"/groups/{quote(tenant, safe='')}/{quote(name, safe='')}"


PAGE = Page("/groups", "Groups", view, "groups", nav=Nav("change", 20, "Groups", "g"))
GROUP = Page("/groups/{tenant}/{group}", "Group", show, "group", place="/groups")
PAGES = (PAGE, GROUP)
ACTIONS = (
    Action("/groups", create, PAGE),
    Action("/groups/{tenant}/{group}", change, GROUP),
    Action("/groups/{tenant}/{group}/add", add, GROUP),
    Action("/groups/{tenant}/{group}/drop", drop, GROUP),
    Action("/groups/{tenant}/{group}/remove", remove, GROUP),
)
