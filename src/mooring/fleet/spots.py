"""Devices on a map: those that are near to each other become one spot. Pure.

The map is the one that is usual on the web (Web Mercator): at zoom 0 the world is 256 units wide
and high, and each step of the zoom doubles that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

__all__ = [
    "CELL",
    "CLOSEST_ZOOM",
    "POLAR_LATITUDE",
    "STATES",
    "TILE",
    "Box",
    "Position",
    "Spot",
    "around",
    "degrees",
    "fitting",
    "on_map",
    "spots",
]

TILE = 256.0
"""Units of the world at zoom 0."""
CELL = 40.0
"""Units: devices in one square of this size are one spot."""
NEAR = 28.0
"""Units: two spots are not nearer to each other."""
CLOSEST_ZOOM = 18
POLAR_LATITUDE = 85.0511
"""Degrees: nearer to a pole the map has no place."""

STATES = ("flapping", "silent", "updating", "offline", "never_seen", "disabled", "online")
"""States of devices, the one that needs attention most first."""
_RANKS = {state: rank for rank, state in enumerate(STATES)}


class Position(NamedTuple):
    """Where a device is, in degrees. ``device``: ``tenant:name``; ``state``: of ``STATES``."""

    latitude: float
    longitude: float
    state: str
    device: str


class Box(NamedTuple):
    """A part of the map, in degrees."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, one: Position) -> bool:
        """Whether a position is in it, or on its edge."""
        inside = self.south <= one.latitude <= self.north
        return inside and self.west <= one.longitude <= self.east


class Spot(NamedTuple):
    """Devices at one place of a map.

    Attributes:
        latitude, longitude: the middle of them.
        devices: how many.
        state: of the one that needs attention most.
        box: around all of them.
        names: of the first five, as ``tenant:name``.
    """

    latitude: float
    longitude: float
    devices: int
    state: str
    box: Box
    names: tuple[str, ...]


_Members = list[tuple[float, float, Position]]
"""Devices with their places on the map."""


def on_map(latitude: float, longitude: float, zoom: float) -> tuple[float, float]:
    """Units from the left and from the top."""
    size = TILE * 2.0**zoom
    kept = math.radians(min(max(latitude, -POLAR_LATITUDE), POLAR_LATITUDE))
    up = math.asinh(math.tan(kept)) / math.pi
    return (longitude + 180) / 360 * size, (1 - up) / 2 * size


def degrees(x: float, y: float, zoom: float) -> tuple[float, float]:
    """Latitude and longitude: the reverse of ``on_map``."""
    size = TILE * 2.0**zoom
    up = (1 - 2 * y / size) * math.pi
    return math.degrees(math.atan(math.sinh(up))), x / size * 360 - 180


def around(positions: Iterable[Position]) -> Box | None:
    """The smallest box with all of them; ``None`` without any."""
    found = list(positions)
    if not found:
        return None
    latitudes, longitudes = [one.latitude for one in found], [one.longitude for one in found]
    return Box(min(longitudes), min(latitudes), max(longitudes), max(latitudes))


def fitting(
    box: Box, width: float, height: float, most: int = CLOSEST_ZOOM
) -> tuple[Position, int]:
    """The middle of a box, and the largest zoom at which it fits into so many units."""
    for zoom in range(most, 0, -1):
        left, top = on_map(box.north, box.west, zoom)
        right, bottom = on_map(box.south, box.east, zoom)
        if right - left <= width and bottom - top <= height:
            break
    else:
        zoom = 0
        left, top = on_map(box.north, box.west, zoom)
        right, bottom = on_map(box.south, box.east, zoom)
    latitude, longitude = degrees((left + right) / 2, (top + bottom) / 2, zoom)
    return Position(latitude, longitude, "", ""), zoom


def spots(positions: Sequence[Position], zoom: int) -> list[Spot]:
    """The spots, those with the most devices first. Every device is in one of them.

    Args:
        zoom: 0 (the world in 256 units) to ``CLOSEST_ZOOM``.
    """
    cells: dict[tuple[int, int], _Members] = {}
    for one in positions:
        x, y = on_map(one.latitude, one.longitude, zoom)
        cells.setdefault((int(x // CELL), int(y // CELL)), []).append((x, y, one))
    found = [_spot(members, zoom) for members in _merged(cells)]
    return sorted(found, key=lambda one: (-one.devices, one.names))


def _merged(cells: Mapping[tuple[int, int], _Members]) -> Iterator[_Members]:
    """Squares next to each other whose middles are too near to be drawn side by side are one; the
    fullest one takes the others in."""
    left = dict(sorted(cells.items(), key=lambda cell: (-len(cell[1]), cell[0])))
    middles = {cell: _middle(members) for cell, members in cells.items()}
    while left:
        cell = next(iter(left))
        members = left.pop(cell)
        x, y = middles[cell]
        for beside in product((-1, 0, 1), repeat=2):
            other = cell[0] + beside[0], cell[1] + beside[1]
            if other in left and math.dist(middles[other], (x, y)) < NEAR:
                members = members + left.pop(other)
        yield members


def _middle(members: _Members) -> tuple[float, float]:
    number = len(members)
    return sum(x for x, _, _ in members) / number, sum(y for _, y, _ in members) / number


def _spot(members: _Members, zoom: int) -> Spot:
    number = len(members)
    latitude, longitude = degrees(*_middle(members), zoom)
    last = len(STATES) - 1
    worst = min(_RANKS.get(one.state, last) for _, _, one in members)
    box = around(one for _, _, one in members)
    assert box is not None
    names = tuple(one.device for _, _, one in members[:5])
    return Spot(latitude, longitude, number, STATES[worst], box, names)
