"""Search: devices by name, label, MAC address, username and network address, topics, and pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from mooring.dashboard.answers import Answer
from mooring.dashboard.call import Call
from mooring.dashboard.data import fleet
from mooring.dashboard.page import Action, Page, allowed
from mooring.dialects.match import Router
from mooring.errors import Invalid
from mooring.fleet.model import Filter
from mooring.fleet.service import DeviceLists

__all__ = ["ACTIONS", "PAGES", "Found", "found_for"]

DEVICES, TOPICS, WORDS = 8, 5, 5
SEARCH_MAX = 128


class Found(NamedTuple):
    """One thing that was found."""

    kind: str
    word: str
    about: str
    href: str


def found_for(call: Call, text: str) -> list[Found]:
    """Pages first, because they are few, then devices and topics."""
    if not text:
        return []
    return [*_pages(call, text), *_devices(call, text), *_topics(call, text)]


def _pages(call: Call, text: str) -> list[Found]:
    every: Sequence[Page] = call.request.app.state.pages.pages
    listed = [
        (one.nav.word if one.nav else one.title, one.path)
        for one in every
        if one.template and "{" not in one.path and one.path != PAGE.path and allowed(one, call.who)
    ]
    return [Found("page", word, "", path) for word, path in listed if text.lower() in word.lower()][
        :WORDS
    ]


def _devices(call: Call, text: str) -> list[Found]:
    try:
        found = call.service(DeviceLists).page(call.who, Filter(search=text), limit=DEVICES)
    except Invalid:
        return []  # a text that no device can have
    return [
        Found(
            "device",
            row.device.name,
            " · ".join(
                one for one in (row.device.label, row.device.mac, row.device.username) if one
            ),
            fleet.address(row.device),
        )
        for row in found.rows
    ]


def _topics(call: Call, text: str) -> list[Found]:
    """The channels that a whole topic may belong to, and their devices."""
    if "/" not in text:
        return []
    found: dict[Found, None] = {}
    for match in Router(call.app.catalogue.all()).match_any(text):
        about = f"channel {match.channel.name} of {match.dialect.name}"
        for name in match.values.values():
            wanted = Filter(search=name, dialect=match.dialect.name)
            try:
                listing = call.service(DeviceLists).page(call.who, wanted, limit=TOPICS)
            except Invalid:
                continue  # a word of a topic that no device can have
            for row in listing.rows:
                if name in (row.device.name, row.device.mac):
                    address = fleet.address(row.device)
                    found[Found("topic", text, f"{about}: {row.device.reference}", address)] = None
    return list(found)[:TOPICS]


def view(call: Call) -> dict[str, Any]:
    """What was found, as a page."""
    text = call.query.text("q", max=SEARCH_MAX)
    return {"text": text, "found": found_for(call, text)}


def answer(call: Call) -> Answer:
    """The same for the search field."""
    found = found_for(call, call.query.text("q", max=SEARCH_MAX))
    return Answer(json.dumps([one._asdict() for one in found]), "application/json")


PAGE = Page("/search", "Search", view, "search")
AS_JSON = Page("/search.json", "Search", answer)
PAGES = (PAGE, AS_JSON)
ACTIONS: tuple[Action, ...] = ()
