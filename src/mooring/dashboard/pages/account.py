"""The person's own account: password, sessions."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Page, Redirect
from mooring.identity.actor import Role
from mooring.people.passwords import MAX_CHARACTERS
from mooring.people.service import People

__all__ = ["ACTIONS", "PAGES"]


def view(call: Call) -> dict[str, Any]:
    """Nothing but the person itself."""
    return {}


def change_password(call: Call) -> Redirect:
    """A new password; every session ends, this one too."""
    form = call.form
    current = form.text("current", "Current password", needed=True, max=MAX_CHARACTERS, keep=True)
    new = form.text("new", "New password", needed=True, max=MAX_CHARACTERS, keep=True)
    if form.raw("again") != new:
        form.wrong["again"] = "The two new passwords are different. Enter the same one twice."
    form.check()
    call.service(People).change_own_password(call.who, current, new)
    return call.redirect("/sign-in", "The password was changed. Sign in with the new one.")


PAGE = Page("/account", "Your account", view, "account")
PAGES = (PAGE,)
ACTIONS = (Action("/account/password", change_password, PAGE, role=Role.VIEWER),)
