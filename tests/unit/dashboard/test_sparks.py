"""Lines of the last values: equal distances, gaps stay gaps."""

from __future__ import annotations

import pytest

from mooring.dashboard.data.sparks import STEPS, first_span, points
from mooring.telemetry.bands import Band

MINUTE = 60_000


def test_between_two_values_without_a_gap_is_a_line() -> None:
    curve = Band("t", ts=[0, 4 * MINUTE, 5 * MINUTE, 9 * MINUTE], mean=[1.0, 3.0, None, 7.0])
    found = points(curve, 0, MINUTE)
    assert len(found) == STEPS + 1
    assert found[:10] == [1.0, 1.5, 2.0, 2.5, 3.0, None, None, None, None, 7.0]
    assert found[10:] == [None] * (STEPS - 9)


def test_times_outside_of_the_span_are_at_its_edges() -> None:
    curve = Band("t", ts=[-MINUTE, 99 * MINUTE], mean=[1.0, None])
    assert points(curve, 0, MINUTE)[0] == 1.0


@pytest.mark.parametrize(
    ("age", "span"),
    [(0, "15m"), (20 * MINUTE, "1h"), (120 * MINUTE, "6h"), (10**7 * 3, "24h"), (10**12, "24h")],
)
def test_a_new_device_has_a_short_span(age: int, span: str) -> None:
    assert first_span(age) == span
