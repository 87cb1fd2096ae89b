"""Where devices are, on a map with coasts of our own, or on tiles. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from markupsafe import Markup

from mooring.dashboard.drawings.coast import COASTS
from mooring.dashboard.drawings.svg import drawing, element, number, shortened
from mooring.fleet.spots import POLAR_LATITUDE, TILE, Spot, degrees, on_map

__all__ = ["HEIGHT", "WIDTH", "Dot", "View", "fleet_map"]

WIDTH, HEIGHT = 960.0, 480.0
EDGE = 8.0  # units around the drawing in which coasts continue, so that no cut is seen
NEAR = 2.0  # half units: a point nearer than this to the one before is not drawn
STEPS = (45.0, 30.0, 15.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)  # degrees between two lines

Point = tuple[float, float]


class Dot(NamedTuple):
    """A spot with its state as a class and as a word, and where it leads."""

    spot: Spot
    look: str
    word: str
    href: str = ""


class View(NamedTuple):
    """A part of the map: its middle in degrees, and how large it is drawn."""

    latitude: float
    longitude: float
    zoom: int

    @property
    def corner(self) -> Point:
        """The upper left corner, in units of the map."""
        x, y = on_map(self.latitude, self.longitude, self.zoom)
        return x - WIDTH / 2, y - HEIGHT / 2

    def place(self, latitude: float, longitude: float) -> Point:
        """A position in the drawing."""
        left, top = self.corner
        x, y = on_map(latitude, longitude, self.zoom)
        return x - left, y - top

    def moved(self, right: float, down: float) -> View:
        """The view that far to the right and below, in shares of the drawing."""
        x, y = on_map(self.latitude, self.longitude, self.zoom)
        size = TILE * 2.0**self.zoom
        x = min(max(x + right * WIDTH, 0), size)
        y = min(max(y + down * HEIGHT, 0), size)
        return View(*degrees(x, y, self.zoom), self.zoom)


def fleet_map(dots: Iterable[Dot], view: View, said: str, tiles: str = "") -> Markup:
    """Coasts, a grid, and a dot for each device or crowd of devices in the view.

    Args:
        said: what it shows, in words.
        tiles: address of pictures of the map with ``{z}``, ``{x}`` and ``{y}``; they are drawn
            instead of coasts.
    """
    ground = _tiles(view, tiles) if tiles else [_coasts(view)]
    drawn = (_dot(one, view) for one in dots)
    shown = [one for one in drawn if one is not None]
    return drawing("fleet-map", WIDTH, HEIGHT, said, *ground, *_grid(view), *shown)


# ---------------------------------------------------------------------- ground


def _tiles(view: View, address: str) -> list[Markup]:
    left, top = view.corner
    most = 2**view.zoom
    drawn = []
    for y in range(max(0, math.floor(top / TILE)), min(most, math.ceil((top + HEIGHT) / TILE))):
        for x in range(
            max(0, math.floor(left / TILE)), min(most, math.ceil((left + WIDTH) / TILE))
        ):
            href = address
            for name, value in (("{z}", view.zoom), ("{x}", x), ("{y}", y)):
                href = href.replace(name, str(value))
            where = {"x": x * TILE - left, "y": y * TILE - top, "width": TILE, "height": TILE}
            drawn.append(element("image", href=href, **where))
    return drawn


def _coasts(view: View) -> Markup:
    """One path in half units: a point in an odd number of coasts is on land."""
    runs = []
    (left, top), size = view.corner, 2.0**view.zoom
    for coast in _units():
        points = [(x * size - left, y * size - top) for x, y in coast]
        if _outside(points):
            continue
        steps = _steps(_clipped(points))
        if len(steps) > 2:
            first, *others = steps
            joined = " ".join(f"{x} {y}" for x, y in others)
            runs.append(f"M{first[0]} {first[1]}l{joined}z")
    return element("path", class_="land", transform="scale(.5)", d="".join(runs))


@cache
def _units() -> tuple[tuple[Point, ...], ...]:
    """The coasts in units of the map at zoom 0."""
    return tuple(
        tuple(on_map(latitude, longitude, 0) for longitude, latitude in coast) for coast in COASTS
    )


def _outside(points: Sequence[Point]) -> bool:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return max(xs) < 0 or min(xs) > WIDTH or max(ys) < 0 or min(ys) > HEIGHT


def _clipped(points: Sequence[Point]) -> Sequence[Point]:
    """The part of a polygon in the drawing (Sutherland and Hodgman: one edge after another)."""
    for axis, bound, sign in (
        (0, -EDGE, 1),
        (0, WIDTH + EDGE, -1),
        (1, -EDGE, 1),
        (1, HEIGHT + EDGE, -1),
    ):
        kept: list[Point] = []
        for at, there in enumerate(points):
            here = points[at - 1]
            before, after = sign * (here[axis] - bound), sign * (there[axis] - bound)
            if (before < 0) != (after < 0):
                share = before / (before - after)
                kept.append(
                    (here[0] + (there[0] - here[0]) * share, here[1] + (there[1] - here[1]) * share)
                )
            if after >= 0:
                kept.append(there)
        points = kept
    return points


def _steps(points: Sequence[Point]) -> list[tuple[int, int]]:
    """The first point in whole half units, and from each to the next that is not too near."""
    steps: list[tuple[int, int]] = []
    x = y = 0
    for to_x, to_y in ((round(2 * x), round(2 * y)) for x, y in points):
        if not steps or abs(to_x - x) + abs(to_y - y) > NEAR:
            steps.append((to_x - x, to_y - y))
            x, y = to_x, to_y
    return steps


def _grid(view: View) -> list[Markup]:
    left, top = view.corner
    north, west = degrees(left, top, view.zoom)
    south, east = degrees(left + WIDTH, top + HEIGHT, view.zoom)
    west, east = max(west, -180.0), min(east, 180.0)
    step = next((one for one in STEPS if (east - west) / one >= 3), STEPS[-1])
    drawn = []
    for at in _marks(west, east, step):
        x, _ = view.place(0, at)
        drawn += [
            element("line", class_="grid", x1=x, x2=x, y1=0, y2=HEIGHT),
            element("text", _degrees(at, "E", "W"), class_="grid", x=x + 3, y=HEIGHT - 4),
        ]
    for at in _marks(max(south, -POLAR_LATITUDE), min(north, POLAR_LATITUDE), step):
        _, y = view.place(at, 0)
        drawn += [
            element("line", class_="grid", x1=0, x2=WIDTH, y1=y, y2=y),
            element("text", _degrees(at, "N", "S"), class_="grid", x=3, y=y - 3),
        ]
    return drawn


def _marks(least: float, most: float, step: float) -> list[float]:
    return [at * step for at in range(math.ceil(least / step), math.floor(most / step) + 1)]


def _degrees(value: float, above: str, below: str) -> str:
    word = above if value > 0 else below if value < 0 else ""
    return f"{abs(round(value, 1)):g}°{word}"


# ---------------------------------------------------------------------- devices


def _dot(dot: Dot, view: View) -> Markup | None:
    spot = dot.spot
    x, y = view.place(spot.latitude, spot.longitude)
    if not (-EDGE <= x <= WIDTH + EDGE and -EDGE <= y <= HEIGHT + EDGE):
        return None
    if spot.devices == 1:
        said = f"{shortened(spot.names[0])}: {dot.word}"
        drawn, kind = [_shape(dot.look, x, y)], "place"
    else:
        names = ", ".join(shortened(one, 40) for one in spot.names)
        more = spot.devices - len(spot.names)
        said = f"{spot.devices:,} devices, the worst one {dot.word}: {names}"
        said += f" and {more:,} more" if more > 0 else ""
        wide = 10 + 2.5 * math.log10(spot.devices)
        drawn = [
            element("circle", cx=x, cy=y, r=wide),
            element("text", _amount(spot.devices), x=x, y=y + 4),
        ]
        kind = "place crowd"
    found = element("g", element("title", said), *drawn, class_=f"{kind} place-{dot.look}")
    return element("a", found, href=dot.href, aria_label=said) if dot.href else found


def _amount(devices: int) -> str:
    """``950``, ``1.2k``, ``95k``: it has to fit into the dot."""
    if devices < 1000:
        return str(devices)
    return f"{devices / 1000:.1f}k" if devices < 10_000 else f"{devices // 1000}k"


def _shape(look: str, x: float, y: float) -> Markup:
    """The shape that the state has everywhere."""
    if look == "silent":
        points = ((x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y))
        return element("polygon", points=" ".join(f"{number(a)},{number(b)}" for a, b in points))
    return element("circle", cx=x, cy=y, r=5.5)
