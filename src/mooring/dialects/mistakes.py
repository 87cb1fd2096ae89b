"""The list of what is wrong with a dialect file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from mooring.dialects.lines import Lines

__all__ = ["Mistake", "Place", "Report", "nearest"]

Place = tuple[str | int, ...]  # keys and array indices from the top of the file


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to fix.

    Attributes:
        line: in the file, from 1; ``None`` where no line can be named.
        where: the key, such as ``channels[2].topic``.
        message: what is wrong, one sentence.
        hint: what to do, or empty.
    """

    line: int | None
    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        position = f"line {self.line}: " if self.line else ""
        return f"{position}{self.where}: {self.message}" + (f" {self.hint}" if self.hint else "")


class Report:
    """Collects mistakes while a file is read."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._mistakes: list[Mistake] = []

    def add(self, place: Place, message: str, hint: str = "") -> None:
        mistake = Mistake(self._lines.of(place), _written(place), message, hint)
        if mistake not in self._mistakes:
            self._mistakes.append(mistake)

    def in_order(self) -> list[Mistake]:
        return sorted(self._mistakes, key=lambda mistake: mistake.line or 0)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint: the known word most like this one, or all of them."""
    choices = list(known)
    close = difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known here: {', '.join(choices)}." if choices else ""


def _written(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "file"
