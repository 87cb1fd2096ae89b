"""A small line without axes: how a value went. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from mooring.dashboard.drawings.svg import drawing, element, number

__all__ = ["sparkline"]

_EDGE = 2.0


def sparkline(
    values: Sequence[float | None], said: str, *, width: float = 120, height: float = 24
) -> Markup:
    """A line through values at equal distances. A missing value is a gap.

    Args:
        values: ``None`` and what is not finite are gaps.
        said: what it shows, in words.
    """
    known = [one for one in values if one is not None and math.isfinite(one)]
    if not known:
        return drawing("sparkline", width, height, said)
    low, high = min(known), max(known)
    # Halves, because the difference of two large floats may not be one.
    span = high / 2 - low / 2
    step = (width - 2 * _EDGE) / max(1, len(values) - 1)

    def place(index: int, value: float) -> tuple[float, float]:
        share = 0.5 if span == 0 else (value / 2 - low / 2) / span
        return _EDGE + index * step, height - _EDGE - share * (height - 2 * _EDGE)

    lines: list[Markup] = []
    for there, run in groupby(
        enumerate(values), key=lambda one: one[1] is not None and math.isfinite(one[1])
    ):
        if not there:
            continue
        points = [place(index, value) for index, value in run if value is not None]
        if len(points) == 1:
            lines.append(element("circle", cx=points[0][0], cy=points[0][1], r=1.5))
        else:
            joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
            lines.append(element("polyline", points=joined))
    return drawing("sparkline", width, height, said, *lines)
