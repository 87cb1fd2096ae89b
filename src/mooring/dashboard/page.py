"""What a page and an action declare, and what their functions may answer. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mooring.dashboard.answers import Answer, Redirect, Shown
from mooring.dashboard.call import Call
from mooring.identity.actor import Actor, Role

__all__ = ["Action", "Answer", "Group", "Nav", "Page", "Redirect", "Shown", "allowed", "particular"]

Group = str
"""``fleet``, ``change`` or ``run``: the three groups of the navigation."""


class Nav(NamedTuple):
    """The place of a page in the navigation."""

    group: Group
    order: int
    word: str
    key: str = ""
    """The letter that opens it after ``g``; empty: none."""


View = Callable[[Call], Mapping[str, Any] | Answer | Redirect | Shown]


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        path: ``/devices/{device}``; its values are in ``Call.path``.
        title: of the page; a view may give another as ``title``.
        template: under ``templates/pages``, without ``.html``; empty for a page that only
            answers with ``Answer``.
        role: the least role that may see it.
        whole: only for logins without a tenant.
        nav: its place in the navigation.
        secret: the answer is kept nowhere and not compressed.
        place: the path of the page that the navigation marks as current; empty: its own.
    """

    path: str
    title: str
    view: View
    template: str = ""
    role: Role = Role.VIEWER
    whole: bool = False
    nav: Nav | None = None
    secret: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """A form's target (POST).

    When it fails with an error on purpose, the page is shown again with the error at its form and
    with what was typed.

    Attributes:
        path: its values are those of the page's path, and more.
        page: whose form it is.
    """

    path: str
    view: View
    page: Page
    role: Role = Role.OPERATOR
    whole: bool = False


def allowed(one: Page | Action, who: Actor) -> bool:
    """Whether this person may see the page, or do this."""
    return who.role >= one.role and (not one.whole or who.tenant is None)


def particular(one: Page | Action) -> tuple[bool, ...]:
    """The order of routes, words before values: ``/devices/new`` before ``/devices/{device}``."""
    return tuple(part.startswith("{") for part in one.path.split("/"))
