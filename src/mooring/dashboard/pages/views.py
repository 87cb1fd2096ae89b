"""Saved views of the list of devices: each person has their own."""

from __future__ import annotations

from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.data.saved import ACTION
from mooring.dashboard.page import Action, Page
from mooring.dashboard.pages.devices import PAGE
from mooring.errors import Invalid
from mooring.identity.actor import Role
from mooring.people.views import NAME_MAX, QUERY_MAX, SavedViews

__all__ = ["ACTIONS", "PAGES"]


def save(call: Call) -> Redirect:
    """Saves the list as it is shown."""
    name = call.form.text("name", "Name", needed=True, max=NAME_MAX)
    call.form.check()
    query = call.form.raw("query")
    if len(query) > 2 * QUERY_MAX:
        raise Invalid("The filters are too long to be saved.", code="invalid_view")
    view = call.service(SavedViews).save(call.who, name, query)
    return call.redirect(f"/devices?{view.query}", f"The view {view.name} was saved.")


def remove(call: Call) -> Redirect:
    """Removes a view; the devices stay."""
    name = call.form.text("name", "Name", needed=True, max=NAME_MAX)
    call.form.check()
    call.service(SavedViews).remove(call.who, name)
    return call.redirect("/devices", f"The view {name} was removed. No device has changed.")


PAGES: tuple[Page, ...] = ()
ACTIONS = (
    Action(ACTION, save, PAGE, role=Role.VIEWER),
    Action(f"{ACTION}/remove", remove, PAGE, role=Role.VIEWER),
)
