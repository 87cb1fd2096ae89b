"""Cells of CSV that no spreadsheet takes for a formula. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["safe_cell"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: Any) -> Any:
    """``value`` as it is, with an apostrophe before a text that a spreadsheet would calculate.

    Devices choose texts, and people open exports in spreadsheets: ``=HYPERLINK(…)`` there sends
    what is in other cells. A number keeps its sign.
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value if value.strip() == value else f"'{value}"
