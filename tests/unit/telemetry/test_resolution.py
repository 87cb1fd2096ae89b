"""Which rows a chart reads: as many points as asked for, never more rows than allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import Invalid
from mooring.rollups.model import Level
from mooring.telemetry.resolution import POINTS_MAX, ROWS_MAX, Resolution, choose

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
MANY = ROWS_MAX + 1


@pytest.mark.parametrize(
    ("span", "rows", "options", "expected"),
    [
        (HOUR, 360, {}, Resolution(None, None)),
        (HOUR, 3600, {}, Resolution(None, 5 * SECOND)),
        (HOUR, 360, {"every_row": False}, Resolution(None, 5 * SECOND)),
        (HOUR, MANY, {}, Resolution(Level.MINUTE, MINUTE)),
        (DAY, MANY, {}, Resolution(Level.MINUTE, 2 * MINUTE)),
        (30 * DAY, MANY, {}, Resolution(Level.HOUR, HOUR)),
        (31 * DAY, MANY, {}, Resolution(Level.HOUR, HOUR)),
        (365 * DAY, MANY, {}, Resolution(Level.HOUR, 12 * HOUR)),
        (1826 * DAY, MANY, {}, Resolution(Level.DAY, 2 * DAY)),
        (1826 * DAY, MANY, {"points": 50}, Resolution(Level.DAY, 38 * DAY)),
        (1826 * DAY, 20, {}, Resolution(None, None)),
        (1826 * DAY, 2000, {}, Resolution(Level.DAY, 2 * DAY)),
        (HOUR, 3600, {"curve": True}, Resolution(None, None)),
        (7 * DAY - HOUR, MANY, {"curve": True}, Resolution(Level.HOUR, None)),
        (6 * DAY, MANY, {"curve": True}, Resolution(Level.MINUTE, None)),
        (HOUR, 3600, {"step_ms": 10 * SECOND}, Resolution(None, 10 * SECOND)),
        (DAY, MANY, {"step_ms": 5 * MINUTE}, Resolution(Level.MINUTE, 5 * MINUTE)),
        (DAY, 3, {"step_ms": 3 * HOUR}, Resolution(Level.HOUR, 3 * HOUR)),
        (DAY, 3, {"step_ms": DAY}, Resolution(Level.DAY, DAY)),
    ],
)
def test_choices(span: int, rows: int, options: dict[str, int], expected: Resolution) -> None:
    assert choose(span, rows, **{"points": 1000, **options}) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("span", "rows", "step", "code"),
    [
        (DAY, 10, SECOND, "too_many_points"),
        (HOUR, MANY, 10 * SECOND, "too_many_rows"),
        (30 * DAY, MANY, 5 * MINUTE, "too_many_rows"),
        (HOUR, 10, 0, "too_many_points"),
    ],
)
def test_steps_that_ask_for_too_much(span: int, rows: int, step: int, code: str) -> None:
    with pytest.raises(Invalid) as error:
        choose(span, rows, points=1000, step_ms=step)
    assert error.value.slug == code


@given(
    st.integers(1, 40_000 * DAY),
    st.integers(0, MANY),
    st.integers(2, POINTS_MAX),
    st.booleans(),
    st.booleans(),
)
def test_the_bounds_hold_for_every_span(
    span: int, rows: int, points: int, every_row: bool, curve: bool
) -> None:
    found = choose(span, rows, points=points, every_row=every_row, curve=curve)
    if found.level is None:
        assert rows <= ROWS_MAX
    elif found.level is not Level.DAY:
        assert span // found.level.span_ms + 1 <= ROWS_MAX
    if found.step_ms is None:
        assert curve or found.level is not None or rows <= points
    else:
        assert -(-span // found.step_ms) + 1 <= points or found.step_ms % DAY == 0
        if found.level is not None:
            assert found.step_ms % found.level.span_ms == 0
