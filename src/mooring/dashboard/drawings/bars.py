"""Amounts at equal distances, as bars. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mooring.dashboard.drawings.svg import drawing, element

__all__ = ["bars"]

WIDTH, HEIGHT = 960.0, 40.0


def bars(values: Sequence[int | None], said: str, look: str = "") -> Markup:
    """One bar for each value on a ground. A value that is not known has no ground either.

    Args:
        values: not below 0.
        said: what it shows, in words.
        look: a state's class (``bad``), or empty.
    """
    most = max((one for one in values if one), default=0)
    wide = WIDTH / max(1, len(values))
    drawn = []
    for at, value in enumerate(values):
        if value is None:
            continue
        x = at * wide
        # Wider than its place, so that no line shows between two.
        drawn.append(
            element(
                "rect", class_="ground", x=x, y=0, width=min(wide + 0.5, WIDTH - x), height=HEIGHT
            )
        )
        if value > 0:
            high = max(1.5, value / most * HEIGHT)
            drawn.append(
                element(
                    "rect",
                    class_="bar",
                    x=x,
                    y=HEIGHT - high,
                    width=max(0.5, wide - 1),
                    height=high,
                )
            )
    return drawing(f"bars {look}".rstrip(), WIDTH, HEIGHT, said, *drawn, stretched=True)
