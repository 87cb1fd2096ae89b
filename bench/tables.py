"""Tables for people, in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Spread

__all__ = ["NOTHING", "number", "reached", "table", "with_spread"]

NOTHING = "–"


def number(value: float | None) -> str:
    """Three digits that count, thousands apart: 41 200, 8.31, 0.062."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    value = float(f"{value:.3g}")
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}"


def with_spread(value: Spread | None) -> str:
    """The median, and between what it lay where there were several rounds."""
    if value is None:
        return NOTHING
    text = number(value.median)
    if value.rounds > 1 and value.least != value.most:
        text += f" ({number(value.least)} to {number(value.most)})"
    return text


def reached(value: float | None, wanted: float, *, at_least: bool) -> str:
    """Whether a figure is as wanted."""
    if value is None:
        return "not measured"
    good = value >= wanted if at_least else value <= wanted
    return "yes" if good else "no"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right; the first column holds names.

    Raises:
        ValueError: a row has more or fewer cells than there are heads.
    """
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"{len(row)} cells under {len(heads)} heads: {row}")
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (heads, *rows)]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])]) + "\n"
