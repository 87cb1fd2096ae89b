"""The waves of a change that goes through a fleet step by step. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from mooring.dashboard.drawings.svg import drawing, element

__all__ = ["Wave", "waves"]

WIDTH, HEIGHT, GAP, BAR, LEAST = 960.0, 48.0, 4.0, 20.0, 64.0


class Wave(NamedTuple):
    """One wave.

    Attributes:
        name: shown above it.
        total: devices in it; ``done`` and ``failed`` are among them.
        current: whether it is the one that runs now.
    """

    name: str
    total: int
    done: int
    failed: int
    current: bool = False


def waves(found: Sequence[Wave], said: str) -> Markup:
    """A bar for each wave, as wide as its share of the devices, filled as far as it has gone."""
    if not found:
        return drawing("waves", WIDTH, HEIGHT, said)
    room = max(0.0, WIDTH - GAP * (len(found) - 1))
    least = min(LEAST, room / len(found))
    total = sum(max(0, wave.total) for wave in found)
    shared = room - least * len(found)
    drawn: list[Markup] = []
    x = 0.0
    for wave in found:
        wide = least + (shared * max(0, wave.total) / total if total else shared / len(found))
        drawn += _wave(wave, x, wide)
        x += wide + GAP
    return drawing("waves", WIDTH, HEIGHT, said, *drawn)


def _wave(wave: Wave, x: float, wide: float) -> list[Markup]:
    top = HEIGHT - BAR
    fits = int(wide / 7)
    name = wave.name if len(wave.name) <= fits else wave.name[: max(0, fits - 1)] + "…"
    share = wide / wave.total if wave.total > 0 else 0.0
    done = min(wide, max(0, wave.done) * share)
    failed = min(wide - done, max(0, wave.failed) * share)
    words = f"{wave.name[:80]}: {wave.done:,} of {wave.total:,} done, {wave.failed:,} failed"
    parts = [
        element("title", words),
        element("rect", class_="wave-rest", x=x, y=top, width=wide, height=BAR),
        element("rect", class_="wave-done", x=x, y=top, width=done, height=BAR),
        # Lower than the rest: failed is told apart without its colour.
        element(
            "rect", class_="wave-failed", x=x + done, y=top + BAR / 2, width=failed, height=BAR / 2
        ),
        element("text", name, x=x, y=top - 8),
    ]
    return [element("g", *parts, class_="wave wave-current" if wave.current else "wave")]
