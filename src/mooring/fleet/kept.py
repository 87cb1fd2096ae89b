"""Positions of large fleets, kept for some seconds: a map of 200,000 devices costs a second to
read, and several people look at it, zoom and move it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mooring.fleet.model import Filter
from mooring.fleet.spots import Box, Position, Spot, spots
from mooring.supervisor.worker import Worker

__all__ = ["KEPT_FROM", "KEPT_SECONDS", "Found", "KeptMaps"]

KEPT_FROM = 2_000
"""Positions; fewer are read for each view: the map of a small fleet is always as it is now."""
KEPT_SECONDS = 10.0
POSITIONS_MAX = 400_000
"""Positions kept in one process; the oldest ones are forgotten."""
SPOTS_MAX = 50
"""Parts of the map whose spots are kept of one list of positions."""
DRAWN_MAX = 2_001
"""Spots kept of one part: one more than a map shows (``service.SPOTS_MAX``)."""


class Found(NamedTuple):
    """See ``DeviceLists.positions``."""

    positions: Sequence[Position]
    more: bool
    without: int


@dataclass(eq=False, slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = float("-inf")
    found: Found | None = None
    parts: dict[tuple[Box | None, int], tuple[int, list[Spot]]] = field(default_factory=dict)


_Key = tuple[str | None, Filter]


class KeptMaps:
    """Of one serving process; from any thread. A list of positions is read once at a time,
    however many people ask for it. What somebody sees depends on the tenant, not on the role."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[_Key, _Kept] = {}

    def workers(self) -> Sequence[Worker]:
        """See ``mooring.part.Resident``."""
        return ()

    async def close(self) -> None:
        """See ``mooring.part.Resident``."""

    def positions(self, tenant: str | None, wanted: Filter, read: Callable[[], Found]) -> Found:
        """The positions for a filter, as they were ``KEPT_SECONDS`` ago at most.

        Args:
            tenant: of the person; ``None``: all.
            read: gives them as they are now. What it raises is passed on, and nothing is kept.
        """
        with self._lock:
            held = self._kept.setdefault((tenant, wanted), _Kept())
        try:
            with held.lock:
                if held.found is None or self._clock() - held.at >= KEPT_SECONDS:
                    held.found, held.parts = None, {}
                    held.found = read()
                    held.at = self._clock()
                found = held.found
        finally:
            self._forget()
        return found

    def spots(
        self, tenant: str | None, wanted: Filter, found: Found, box: Box | None, zoom: int
    ) -> tuple[int, list[Spot]]:
        """How many of the positions are in a part of the map, and their spots, ``DRAWN_MAX`` at
        most: those with the most devices."""
        with self._lock:
            held = self._kept.get((tenant, wanted))
        if held is None or held.found is not found:
            return _spots(found.positions, box, zoom)
        with held.lock:
            part = held.parts.get((box, zoom))
            if part is None:
                part = _spots(found.positions, box, zoom)
                if len(held.parts) >= SPOTS_MAX:
                    held.parts.clear()
                held.parts[box, zoom] = part
        return part

    def __len__(self) -> int:
        """How many positions are kept."""
        with self._lock:
            return sum(_size(one) for one in self._kept.values())

    def _forget(self) -> None:
        """What is old, small, or too much."""
        now = self._clock()
        with self._lock:
            for key, one in list(self._kept.items()):
                # One that is being read has its lock.
                if not one.lock.locked() and (
                    now - one.at >= KEPT_SECONDS or _size(one) < KEPT_FROM
                ):
                    del self._kept[key]
            total = sum(_size(one) for one in self._kept.values())
            for key, one in sorted(self._kept.items(), key=lambda pair: pair[1].at):
                if total <= POSITIONS_MAX:
                    break
                total -= _size(one)
                del self._kept[key]


def _size(one: _Kept) -> int:
    return 0 if one.found is None else len(one.found.positions)


def _spots(positions: Sequence[Position], box: Box | None, zoom: int) -> tuple[int, list[Spot]]:
    shown = positions if box is None else [one for one in positions if box.holds(one)]
    return len(shown), spots(shown, zoom)[:DRAWN_MAX]
