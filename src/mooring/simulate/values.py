"""Believable readings: each number of a channel's example wanders the way its name suggests.

Pure and repeatable: the random numbers come from the caller's generator. A dialect's example
says which keys there are and what they look like, so a fleet of the user's own works too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from mooring.dialects.model import Path

__all__ = ["Band", "Leaf", "band_of", "leaves"]

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Band:
    """Where a number may be, and how far it goes from one message to the next."""

    low: float
    high: float
    step: float


# The first pattern found in a key decides. Units are those firmware uses: °C, %, hPa, dBm, V.
_BANDS: tuple[tuple[str, Callable[[float], Band]], ...] = (
    (r"temp", lambda v: Band(v - 12, v + 12, 0.25)),
    (r"humid", lambda _: Band(20, 95, 0.6)),
    (r"pressure", lambda _: Band(970, 1045, 0.3)),
    (r"rssi|signal", lambda _: Band(-92, -38, 1.5)),
    (r"volt", lambda v: Band(v * 0.94, v * 1.06, abs(v) * 0.004)),
    (r"gas|ppm|co2", lambda v: Band(max(0, v - 80), v + 400, 9)),
    (r"memory|heap", lambda v: Band(v * 0.6, v * 1.2, abs(v) * 0.01)),
    (r"percent|level|load|cpu|position", lambda _: Band(0, 100, 1.5)),
    (r"score|probab|ratio", lambda _: Band(0, 1, 0.04)),
    (r"speed", lambda _: Band(0, 130, 4)),
    (r"power|watt|current", lambda v: Band(0, 2 * abs(v) + 10, abs(v) * 0.05 + 0.5)),
    (r"vibration", lambda _: Band(0.1, 9, 0.15)),
    (r"^lat|latitude", lambda v: Band(max(-90, v - 0.05), min(90, v + 0.05), 0.0004)),
    (r"^lon|^lng|longitude", lambda v: Band(max(-180, v - 0.05), min(180, v + 0.05), 0.0004)),
    (r"_ms$|duration", lambda v: Band(0, 4 * abs(v) + 50, abs(v) * 0.2 + 5)),
)
_RISING = re.compile(r"uptime|elapsed|running_s")  # seconds since it was switched on
_DRAINING = re.compile(r"battery")
_ALARMING = re.compile(r"flame|fire|smoke|leak|error|fault|alarm|tamper|open")

DRAIN_PER_SECOND = 100 / (30 * 86_400)  # a month from full to empty
FLIP, ALARM_FLIP = 0.02, 0.002
EMPTY, FULL = 4.0, 100.0


def band_of(key: str, value: float) -> Band:
    """The band for a number named ``key`` whose example is ``value``."""
    for pattern, make in _BANDS:
        if re.search(pattern, key.lower()):
            band = make(value)
            # The example must lie inside: the dialect knows better than the name.
            return Band(min(band.low, value), max(band.high, value), band.step)
    reach = abs(value) * 0.3 or 10.0
    return Band(value - reach if value < 0 else max(0.0, value - reach), value + reach, reach * 0.1)


class Leaf:
    """One scalar of a payload and how it continues.

    Args:
        key: its name, which tells what kind of number it is.
        example: its value in the dialect's example; the type is kept.
        random: where chance comes from.
    """

    def __init__(self, key: str, example: Scalar, random: Random) -> None:
        self._example = example
        self._random = random
        self._key = key.lower()
        self._value: Scalar = example
        self._at: float | None = None
        self._exact = 0.0
        self._band = Band(0, 0, 0)
        if isinstance(example, int | float) and not isinstance(example, bool):
            self._band = band_of(key, example)
            spread = 0.2 * (self._band.high - self._band.low)
            self._exact = self._inside(example + random.uniform(-spread, spread))

    def next(self, seconds: float) -> Scalar:
        """The value ``seconds`` after the device was switched on."""
        passed = 0.0 if self._at is None else max(0.0, seconds - self._at)
        self._at = seconds
        if isinstance(self._example, bool):
            if self._random.random() < (ALARM_FLIP if _ALARMING.search(self._key) else FLIP):
                self._value = not self._value
            return self._value
        if isinstance(self._example, str):
            return self._example
        if _RISING.search(self._key):
            return self._written(self._example + seconds)
        if _DRAINING.search(self._key) and 0 <= self._example <= FULL:
            drained = self._exact - passed * DRAIN_PER_SECOND
            self._exact = FULL if drained < EMPTY else min(FULL, drained)
            return self._written(self._exact)
        self._exact = self._inside(self._exact + self._random.gauss(0, 1) * self._band.step)
        return self._written(self._exact)

    def _inside(self, value: float) -> float:
        """``value``, or as far as it went over the edge back inside: no value sticks there."""
        low, high = self._band.low, self._band.high
        if value < low:
            value = low + (low - value)
        elif value > high:
            value = high - (value - high)
        return min(max(value, low), high)

    def _written(self, value: float) -> int | float:
        """With the example's type and, for fractions, its number of decimals (one at least)."""
        if isinstance(self._example, int):
            return round(value)
        decimals = len(str(self._example).partition(".")[2])
        return round(value, max(1, min(decimals, 6)))


def leaves(
    body: dict[str, Any], random: Random, *, keep: frozenset[Path] = frozenset()
) -> Iterator[tuple[Path, Leaf]]:
    """A leaf for each scalar below ``body`` that may wander.

    Args:
        keep: paths that mean something else (time, id, version) and are left alone.
    """
    pending: list[tuple[Path, Any]] = [((), body)]
    while pending:
        path, item = pending.pop()
        if path in keep:
            continue
        if isinstance(item, dict):
            pending.extend(((*path, key), item[key]) for key in reversed(item))
        elif isinstance(item, str | int | float):
            yield path, Leaf(path[-1], item, random)
