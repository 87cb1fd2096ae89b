"""Times of the week as options have them."""

from __future__ import annotations

from typing import Any

__all__ = ["schedule_document"]


def schedule_document(text: str) -> dict[str, Any]:
    """``mon-fri 08:00-18:00 Europe/Berlin``; each part may be missing."""
    document: dict[str, Any] = {}
    for part in text.split():
        if part[0].isdigit():
            document["from"], _, document["to"] = part.partition("-")
        elif "/" in part or part == "UTC":
            document["zone"] = part
        else:
            document["days"] = _days(part)
    return document


def _days(text: str) -> list[str]:
    week = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    found: list[str] = []
    for part in text.lower().split(","):
        first, sign, last = part.partition("-")
        if sign and first in week and last in week:
            begin = week.index(first)
            length = (week.index(last) - begin) % 7 + 1
            found += [week[(begin + place) % 7] for place in range(length)]
        else:
            found.append(part)
    return found
