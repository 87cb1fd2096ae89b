"""When a device was connected, as a bar. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from mooring.dashboard.drawings.svg import drawing, element

__all__ = ["HEIGHTS", "Span", "presence_bar"]

WIDTH, HEIGHT, TICK = 960.0, 28.0, 4.0

#: State → how high it is drawn: what the colour says, the shape says too.
HEIGHTS = {"connected": 1.0, "silent": 0.6, "not-connected": 0.3, "rejected": 0.6, "unknown": 0.1}


class Span(NamedTuple):
    """A state that lasted from one time to another, epoch milliseconds."""

    state: str
    start: int
    end: int


def presence_bar(spans: Sequence[Span], start: int, end: int, said: str) -> Markup:
    """A bar from ``start`` to ``end`` (epoch milliseconds) with a tick at each quarter.

    Args:
        spans: a state that ``HEIGHTS`` does not know is drawn as ``unknown``. What is outside of
            the bar is cut.
        said: what it shows, in words.
    """
    length = max(1, end - start)
    room = HEIGHT - TICK
    drawn: list[Markup] = []
    for span in spans:
        first, last = max(span.start, start), min(span.end, end)
        if last <= first:
            continue
        state = span.state if span.state in HEIGHTS else "unknown"
        high = room * HEIGHTS[state]
        drawn.append(
            element(
                "rect",
                class_=f"presence-{state}",
                x=(first - start) / length * WIDTH,
                y=room - high,
                # A state of a second in a day is still to be seen.
                width=max(1.0, (last - first) / length * WIDTH),
                height=high,
            )
        )
    ticks = [
        element("line", class_="tick", x1=x, x2=x, y1=room, y2=HEIGHT)
        for x in (WIDTH * quarter / 4 for quarter in range(5))
    ]
    ground = element("rect", class_="ground", x=0, y=0, width=WIDTH, height=room)
    return drawing("presence-bar", WIDTH, HEIGHT, said, ground, *drawn, *ticks, stretched=True)
