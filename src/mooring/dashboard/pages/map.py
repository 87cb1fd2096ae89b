"""Map: where the devices of a list are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from mooring.dashboard.call import Call
from mooring.dashboard.data import fleet
from mooring.dashboard.drawings.world import HEIGHT, WIDTH, Dot, View, fleet_map
from mooring.dashboard.page import Action, Page
from mooring.errors import Invalid, NotFound
from mooring.fleet.kept import Found, KeptMaps
from mooring.fleet.model import Filter
from mooring.fleet.service import SPOTS_MAX, DeviceLists
from mooring.fleet.spots import CLOSEST_ZOOM, Box, Position, Spot, around, degrees, fitting

__all__ = ["ACTIONS", "PAGES"]

LISTED = 50
WORLD = View(20.0, 0.0, 1)
ROOM = 0.8  # the share of the drawing into which devices are fitted
FIRST_ZOOM = 12  # so that one device is not shown without anything around it
COARSE_ZOOM = 7  # from there on our coastline is not exact

LOOKS = {
    "online": "connected",
    "silent": "silent",
    "flapping": "silent",
    "updating": "silent",
    "offline": "not-connected",
    "disabled": "not-connected",
    "never_seen": "unknown",
}
"""State → the class of its dot."""


def view(call: Call) -> dict[str, Any]:
    """The map, and the devices in the part that it shows."""
    query = call.query
    wanted, wrong = fleet.filter_of(query)
    maps, every = call.resident(KeptMaps), Found((), more=False, without=0)
    try:
        every = call.service(DeviceLists).positions(call.who, wanted, maps)
    except (Invalid, NotFound) as exc:
        wrong = f"{exc.message} {exc.hint}"
    found = every.positions
    part = _part(call, found)
    box = _box(part)
    shown = [one for one in found if box.holds(one)]
    _, drawn = maps.spots(call.who.tenant, wanted, every, box, part.zoom)
    kept = fleet.filter_pairs(query)
    tiles = call.app.settings.map_tiles_url
    return {
        "wrong": wrong,
        "placed": len(found),
        "without": every.without,
        "more": every.more or len(drawn) > SPOTS_MAX,
        "shown": len(shown),
        "drawing": fleet_map(
            [_dot(one, part, kept) for one in drawn[:SPOTS_MAX]], part, _said(shown), tiles or ""
        ),
        "states": _states(shown, kept),
        "listed": [
            (one, _address(one.device), fleet.state_badge(one.state)) for one in shown[:LISTED]
        ],
        "ways": _ways(part, kept),
        "credit": call.app.settings.map_tiles_credit,
        "coarse": not tiles and part.zoom >= COARSE_ZOOM,
        "narrowed": bool(kept),
        "list_query": fleet.with_pairs(kept),
        "without_query": fleet.with_pairs([*kept, ("where", "not position = *")]),
        "whole": fleet.with_pairs(kept),
        "query": query,
        "filter_pairs": kept,
        "state_words": fleet.STATE_WORDS,
        "wanted": wanted if not wrong else Filter(),
    }


def _part(call: Call, found: Sequence[Position]) -> View:
    """The part of the map in the address; by default the one with all devices."""
    at = re.fullmatch(r"(-?\d{1,2}(?:\.\d{1,6})?),(-?\d{1,3}(?:\.\d{1,6})?)", call.query.text("at"))
    if at is not None and abs(float(at[1])) <= 90 and abs(float(at[2])) <= 180:
        return View(float(at[1]), float(at[2]), call.query.number("zoom", 5, le=CLOSEST_ZOOM))
    box = around(found)
    return WORLD if box is None else _fitted(box, FIRST_ZOOM)


def _fitted(box: Box, most: int) -> View:
    middle, zoom = fitting(box, WIDTH * ROOM, HEIGHT * ROOM, most)
    return View(middle.latitude, middle.longitude, max(1, zoom))


def _box(part: View) -> Box:
    left, top = part.corner
    north, west = degrees(left, top, part.zoom)
    south, east = degrees(left + WIDTH, top + HEIGHT, part.zoom)
    # Nearer to a pole the map has no place: such a device is drawn at its edge.
    north, south = (90.0 if north > 85 else north), (-90.0 if south < -85 else south)
    return Box(west, south, east, north)


def _dot(spot: Spot, part: View, kept: Sequence[tuple[str, str]]) -> Dot:
    href = _address(spot.names[0])
    if spot.devices > 1:
        inner = _fitted(spot.box, CLOSEST_ZOOM)
        zoom = min(CLOSEST_ZOOM, max(inner.zoom, part.zoom + 1))
        href = _href(View(inner.latitude, inner.longitude, zoom), kept)
        if part.zoom == CLOSEST_ZOOM:
            href = "#listed"
    return Dot(spot, LOOKS[spot.state], fleet.state_badge(spot.state).word.lower(), href)


def _href(part: View, kept: Iterable[tuple[str, str]]) -> str:
    at = f"{part.latitude:.5f},{part.longitude:.5f}"
    return f"/map?{urlencode([*kept, ('at', at), ('zoom', str(part.zoom))])}"


def _address(name: str) -> str:
    return f"/devices/{quote(name, safe=':')}"


def _ways(part: View, kept: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Words and addresses that move the map."""
    ways = []
    if part.zoom < CLOSEST_ZOOM:
        ways.append(("Zoom in", part._replace(zoom=part.zoom + 1)))
    if part.zoom > 1:
        ways.append(("Zoom out", part._replace(zoom=part.zoom - 1)))
    for word, right, down in (
        ("North", 0, -0.5),
        ("South", 0, 0.5),
        ("West", -0.5, 0),
        ("East", 0.5, 0),
    ):
        ways.append((word, part.moved(right, down)))
    return [(word, _href(to, kept)) for word, to in ways]


def _states(
    shown: Sequence[Position], kept: Sequence[tuple[str, str]]
) -> list[tuple[fleet.Badge, int, str]]:
    """State, devices of the part that is shown, and the list of all with a position."""
    placed = [pair for pair in kept if pair[0] != "state"]
    if ("where", "position = *") not in placed:
        placed.append(("where", "position = *"))
    return [
        (
            fleet.state_badge(state),
            number,
            f"/devices{fleet.with_pairs([*placed, ('state', state)])}",
        )
        for state, number in Counter(one.state for one in shown).most_common()
    ]


def _said(shown: Sequence[Position]) -> str:
    counts = Counter(fleet.state_badge(one.state).word.lower() for one in shown)
    parts = ", ".join(f"{number:,} {word}" for word, number in counts.most_common())
    devices = "device" if len(shown) == 1 else "devices"
    return f"Map with {len(shown):,} {devices}{': ' if parts else ''}{parts}"


PAGE = Page("/map", "Map", view, "map", place="/devices")
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
