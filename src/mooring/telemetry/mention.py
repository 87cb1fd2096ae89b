"""Whether a payload can hold a metric, told from its text without parsing it. Pure."""

from __future__ import annotations

__all__ = ["mentions"]


def mentions(text: str, metric: str) -> bool:
    """Whether the JSON text may hold this metric; never false for one that does.

    The last word of the name that is not an index of an array ends a key: the key is that word
    (``"lat"`` for ``gps.lat``), or has it behind a dot (``"gps.lat"``). With only indices
    behind it, more of the name may follow in the key. A backslash may spell anything.
    """
    words = metric.split(".")
    while words and words[-1].isdigit():
        words.pop()
    if not words or "\\" in text:
        return True
    word = words[-1]
    if len(words) == metric.count(".") + 1:
        return f'"{word}"' in text or f'.{word}"' in text
    return word in text
