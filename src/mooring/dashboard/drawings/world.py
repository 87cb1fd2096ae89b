"""Where devices are, on a map with coasts of our own. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from mooring.dashboard.drawings.coast import COASTS
from mooring.dashboard.drawings.svg import drawing, element, number, shortened

__all__ = ["STATES", "Place", "fleet_map"]

WIDTH, HEIGHT = 960.0, 480.0
LEAST_DEGREES = 2.0  # of longitude: coasts are too coarse to show less
CELL = 24.0  # dots nearer than this become one, with their number
STEPS = (30.0, 15.0, 10.0, 5.0, 2.0, 1.0, 0.5)  # degrees between two lines

#: The worst state of a dot is drawn.
STATES = ("rejected", "silent", "not-connected", "unknown", "connected")


class Place(NamedTuple):
    """One device; degrees. ``href`` is where its dot leads, or empty."""

    latitude: float
    longitude: float
    name: str
    state: str
    href: str = ""


class _View(NamedTuple):
    west: float
    north: float
    scale: float  # units of the drawing for a degree

    def place(self, longitude: float, latitude: float) -> tuple[float, float]:
        return (longitude - self.west) * self.scale, (self.north - latitude) * self.scale


def fleet_map(places: Iterable[Place], said: str) -> Markup:
    """Coasts, a grid, and a dot for each place or crowd of places. The map shows what is around
    them; positions that are not on Earth are left out.

    Args:
        said: what it shows, in words.
    """
    known = [one for one in places if _on_earth(one)]
    view = _around(known)
    drawn = [*_coasts(view), *_grid(view)]
    cells: defaultdict[tuple[int, int], list[Place]] = defaultdict(list)
    for one in known:
        x, y = view.place(one.longitude, one.latitude)
        cells[int(x // CELL), int(y // CELL)].append(one)
    drawn += [_dot(crowd, view) for crowd in cells.values()]
    return drawing("fleet-map", WIDTH, HEIGHT, said, *drawn)


def _on_earth(place: Place) -> bool:
    return abs(place.latitude) <= 90 and abs(place.longitude) <= 180  # NaN is neither


def _around(places: Sequence[Place]) -> _View:
    if not places:
        return _View(-180.0, 90.0, WIDTH / 360)
    longitudes = [one.longitude for one in places]
    latitudes = [one.latitude for one in places]
    wide = max(LEAST_DEGREES, (max(longitudes) - min(longitudes)) * 1.2)
    tall = max(LEAST_DEGREES / 2, (max(latitudes) - min(latitudes)) * 1.2)
    wide = min(360.0, max(wide, tall * WIDTH / HEIGHT))
    tall = wide * HEIGHT / WIDTH
    west = (max(longitudes) + min(longitudes)) / 2 - wide / 2
    north = (max(latitudes) + min(latitudes)) / 2 + tall / 2
    return _View(max(-180.0, min(west, 180.0 - wide)), min(90.0, north), WIDTH / wide)


def _grid(view: _View) -> list[Markup]:
    wide, tall = WIDTH / view.scale, HEIGHT / view.scale
    step = next((one for one in STEPS if wide / one >= 4), STEPS[-1])
    drawn = []
    degrees = math.ceil(view.west / step) * step
    while degrees <= view.west + wide:
        x, _ = view.place(degrees, 0)
        drawn += [
            element("line", class_="grid", x1=x, x2=x, y1=0, y2=HEIGHT),
            element("text", _degrees(degrees, "E", "W"), class_="grid", x=x + 3, y=HEIGHT - 4),
        ]
        degrees += step
    degrees = math.ceil((view.north - tall) / step) * step
    while degrees <= view.north:
        _, y = view.place(0, degrees)
        drawn += [
            element("line", class_="grid", x1=0, x2=WIDTH, y1=y, y2=y),
            element("text", _degrees(degrees, "N", "S"), class_="grid", x=3, y=y - 3),
        ]
        degrees += step
    return drawn


def _degrees(value: float, above: str, below: str) -> str:
    word = above if value > 0 else below if value < 0 else ""
    return f"{abs(value):g}°{word}"


def _coasts(view: _View) -> list[Markup]:
    drawn = []
    for coast in COASTS:
        points = [view.place(*one) for one in coast]
        outside = (
            max(x for x, _ in points) < 0
            or min(x for x, _ in points) > WIDTH
            or max(y for _, y in points) < 0
            or min(y for _, y in points) > HEIGHT
        )
        if not outside:
            joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
            drawn.append(element("polygon", class_="land", points=joined))
    return drawn


def _dot(crowd: Sequence[Place], view: _View) -> Markup:
    worst = min((_rank(one.state) for one in crowd), default=len(STATES) - 1)
    state = STATES[worst]
    spots = [view.place(one.longitude, one.latitude) for one in crowd]
    x, y = sum(x for x, _ in spots) / len(spots), sum(y for _, y in spots) / len(spots)
    if len(crowd) == 1:
        one = crowd[0]
        found = element(
            "g",
            element("title", f"{shortened(one.name)}: {state.replace('-', ' ')}"),
            _shape(state, x, y),
            class_=f"place place-{state}",
        )
        return element("a", found, href=one.href) if one.href else found
    names = ", ".join(shortened(one.name, 40) for one in crowd[:5])
    more = f" and {len(crowd) - 5:,} more" if len(crowd) > 5 else ""
    return element(
        "g",
        element("title", f"{len(crowd):,} devices, the worst one {state}: {names}{more}"),
        element("circle", cx=x, cy=y, r=min(CELL * 0.7, 9 + 2 * math.log10(len(crowd)))),
        element("text", f"{len(crowd):,}", x=x, y=y + 4),
        class_=f"place crowd place-{state}",
    )


def _rank(state: str) -> int:
    return STATES.index(state) if state in STATES else STATES.index("unknown")


def _shape(state: str, x: float, y: float) -> Markup:
    """The shape that the state has everywhere."""
    if state == "rejected":
        return element("rect", x=x - 5, y=y - 5, width=10, height=10)
    if state == "silent":
        points = ((x, y - 6), (x + 6, y), (x, y + 6), (x - 6, y))
        return element("polygon", points=" ".join(f"{number(a)},{number(b)}" for a, b in points))
    return element("circle", cx=x, cy=y, r=5)
