"""Saved views of the list of devices, as links."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from mooring.dashboard.call import Call
from mooring.dashboard.forms import Query
from mooring.people.views import PARTS, SavedViews

__all__ = ["Saved", "listed", "query_text", "typed"]

ACTION = "/views"


class Saved(NamedTuple):
    """A view as a link. ``current``: the page shows it."""

    name: str
    href: str
    current: bool


def query_text(query: Query) -> str:
    """The part of an address that a view keeps, without what is empty."""
    return urlencode([(name, value) for name, value in query.pairs if name in PARTS and value])


def listed(call: Call, query: Query) -> list[Saved]:
    """The person's views, by name."""
    now = query_text(query)
    return [
        Saved(one.name, f"/devices?{one.query}", one.query == now)
        for one in call.service(SavedViews).of(call.who)
    ]


def typed(call: Call) -> Query:
    """The query of the page: after an action that failed, the one its form was sent from."""
    if call.problem is None:
        return call.query
    if call.url.startswith(ACTION):
        return Query(parse_qsl(call.form.raw("query")))
    return Query(call.form.pairs)
