"""Fewer points, the same shape."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mooring.telemetry.lttb import lttb

curves = st.lists(st.floats(-1e300, 1e300), max_size=80).map(
    lambda values: [(n * 10, value) for n, value in enumerate(values)]
)


@given(curves, st.integers(0, 90))
def test_ends_stay_and_order_does(points: list[tuple[int, float]], count: int) -> None:
    kept = lttb(points, count)
    assert len(kept) == min(len(points), count)
    assert kept == sorted(set(kept))
    if count >= 2 and points:
        assert kept[0] == 0
        assert kept[-1] == len(points) - 1


def test_a_peak_stays() -> None:
    points = [(n, math.sin(n / 50)) for n in range(1000)]
    points[617] = (617, 40.0)
    assert 617 in lttb(points, 20)


def test_as_published() -> None:
    """By hand: parts [1, 2] and [3, 4]; of each the point with the largest triangle."""
    points = [(0, 0.0), (1, 5.0), (2, 1.0), (3, 1.0), (4, -6.0), (5, 0.0)]
    assert lttb(points, 4) == [0, 1, 4, 5]
