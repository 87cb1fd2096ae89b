"""Durations with a unit: ``30s``, ``5m``, ``2h``, ``90d``."""

from __future__ import annotations

import re

from mooring.errors import Invalid

__all__ = ["seconds_of"]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)


def seconds_of(text: str) -> float:
    """The duration in seconds; a number without a unit is seconds.

    Raises:
        Invalid: it is not a positive duration.
    """
    found = _WRITTEN.fullmatch(text.strip().lower())
    unit = _UNITS.get(found[2] or "s") if found else None
    if found is None or unit is None or float(found[1]) * unit <= 0:
        raise Invalid(
            f"{text[:40]!a} is not a valid duration.",
            hint="Use a number and a unit, for example 30s, 5m, 2h or 90d.",
            code="invalid_duration",
        )
    return float(found[1]) * unit
