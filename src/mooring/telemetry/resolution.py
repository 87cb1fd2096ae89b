"""What a chart is drawn from: the messages, or minutes, hours or days. Pure.

The rule: messages while there are few, or for steps shorter than a minute; otherwise the
coarsest roll-up of which the step is a multiple; and never more than ``ROWS_MAX`` rows of one
channel.
"""

from __future__ import annotations

from dataclasses import dataclass

from mooring.errors import Invalid
from mooring.rollups.model import MINUTE_MS, Level

__all__ = ["POINTS_MAX", "ROWS_MAX", "Resolution", "choose"]

ROWS_MAX = 10_000  # rows read of one channel of one device
POINTS_MAX = 10_000  # points given back

_SECOND, _HOUR, _DAY = 1000, 60 * MINUTE_MS, 1440 * MINUTE_MS
STEPS = (
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * MINUTE_MS for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28)),
)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What to read and how to put it together.

    Attributes:
        level: the roll-ups to read; ``None``: the messages.
        step_ms: the length of a point, a multiple of the level's; ``None``: a point for each
            row read.
    """

    level: Level | None
    step_ms: int | None


def choose(
    span_ms: int,
    rows: int,
    *,
    points: int,
    step_ms: int | None = None,
    every_row: bool = True,
    curve: bool = False,
) -> Resolution:
    """What to draw a span from.

    Args:
        span_ms: its length.
        rows: how many messages lie in it; anything above ``ROWS_MAX`` means more than that.
        points: how many points are wanted at most, where no step is asked for.
        step_ms: the step asked for.
        every_row: whether few messages may be given back as they are.
        curve: whether points are thinned out afterwards by their shape; then the finest there
            is will be read.

    Raises:
        Invalid: the step asked for takes more points or rows than allowed.
    """
    if step_ms is not None:
        return _for_step(span_ms, rows, step_ms)
    few = rows <= ROWS_MAX
    if few and (curve or (every_row and rows <= points)):
        return Resolution(None, None)
    if curve:
        return _finest(span_ms)
    for step in _steps(span_ms, points):
        level = _level_for(step)
        if few and level is None:
            return Resolution(None, step)
        if level is not None and span_ms <= level.span_ms * (ROWS_MAX - 1):
            return Resolution(level, step)
    return Resolution(Level.DAY, step)  # more than 27 years, and there is nothing coarser


def _for_step(span_ms: int, rows: int, step_ms: int) -> Resolution:
    if step_ms <= 0 or _count(span_ms, step_ms) > POINTS_MAX:
        raise Invalid(
            f"A step of {step_ms / 1000:g} s gives more than {POINTS_MAX} points.",
            hint="Use a longer step or a shorter span.",
            code="too_many_points",
        )
    level = _level_for(step_ms)
    if level is None:
        if rows > ROWS_MAX:
            raise Invalid(
                f"A step of {step_ms / 1000:g} s needs the messages themselves, and the span"
                f" holds more than {ROWS_MAX} of them.",
                hint="Use whole minutes or a shorter span.",
                code="too_many_rows",
            )
        return Resolution(None, step_ms)
    if span_ms > level.span_ms * (ROWS_MAX - 1):
        raise Invalid(
            f"A step of {step_ms / 1000:g} s over this span reads more than {ROWS_MAX} rows.",
            hint="Use whole hours or days, or a shorter span.",
            code="too_many_rows",
        )
    return Resolution(level, step_ms)


def _finest(span_ms: int) -> Resolution:
    for level in Level:
        if span_ms <= level.span_ms * (ROWS_MAX - 1):
            return Resolution(level, None)
    return Resolution(Level.DAY, None)


def _steps(span_ms: int, points: int) -> list[int]:
    """Steps that give no more than that many points, the shortest first."""
    fitting = [step for step in STEPS if _count(span_ms, step) <= points]
    days = -(-span_ms // (max(points - 1, 1) * _DAY))
    return [*fitting, max(days, 1) * _DAY, 28 * max(days, 1) * _DAY]


def _count(span_ms: int, step_ms: int) -> int:
    """Points at most: a span that begins within a step touches one more."""
    return -(-span_ms // step_ms) + 1


def _level_for(step_ms: int) -> Level | None:
    """The coarsest level of which this step is a multiple."""
    return next((level for level in reversed(Level) if step_ms % level.span_ms == 0), None)
