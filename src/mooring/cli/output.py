"""The one place that prints: tables, JSON documents, empty states, progress.

Standard output carries the data and nothing else; notes, questions and progress go to standard
error. On a terminal tables are drawn by Rich; in a pipe they are plain aligned text. With
``--json`` standard output is exactly one JSON document.
"""

from __future__ import annotations

import io
import json
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from mooring.later import later

with later():
    from rich import box as rich_box
    from rich import console as rich_console
    from rich import progress as rich_progress
    from rich import table as rich_table
    from rich import text as rich_text

    from mooring import clock
    from mooring.dialects import times

__all__ = ["Output", "ago", "clean", "iso", "plain_table", "write_anything"]

# Marks that turn the reading direction: they can make a line read as another one.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
PROGRESS_LINE_SECONDS = 5.0


def clean(value: object) -> str:
    """``value`` as text that cannot steer a terminal: control characters are shown, not sent.

    Devices choose topics and payloads; an escape sequence in one must stay a text.
    """
    text = "" if value is None else str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if unicodedata.category(character) not in ("Cc", "Cs") and character not in _TURNING
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def write_anything() -> None:
    """Makes both outputs write what their encoding lacks as an escape: a terminal in Latin-1
    must not fail at a label with an emoji."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def iso(time_ms: int | None) -> str | None:
    """``2026-02-13T12:00:00.000Z``, as every time in JSON is written."""
    if time_ms is None:
        return None

    return times.iso(time_ms)


def ago(time_ms: int | None, now_ms: int | None = None) -> str:
    """``3 s ago``: a time for people; ``never`` when none exists."""
    if time_ms is None:
        return "never"
    if now_ms is None:
        now_ms = clock.now_ms()
    seconds = (now_ms - time_ms) / 1000
    if seconds < -1:
        return f"in {_span(-seconds)}"
    return "now" if seconds < 1 else f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    for limit, size, word in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds / size)} {word}"
    return f"{int(seconds / 86_400)} days"


def plain_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str] = frozenset()
) -> str:
    """Columns two spaces apart, headers in capitals, no line longer than its text."""
    widths = [
        max(len(header), *(len(row[index]) for row in rows), 0)
        for index, header in enumerate(headers)
    ]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for cell, width, header in zip(cells, widths, headers, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line([header.upper() for header in headers]), *(line(row) for row in rows)])


class Output:
    """Where a command prints.

    Args:
        as_json: one JSON document instead of text.
        color: whether a terminal may be coloured.
    """

    def __init__(self, *, as_json: bool = False, color: bool = True) -> None:
        self.as_json = as_json
        self.color = color

    # ------------------------------------------------------------------ data

    def document(self, data: Any) -> None:
        """The one JSON document of this command."""
        indent = 2 if sys.stdout.isatty() else None
        # In another encoding than UTF-8 not every character can be written as it is.
        escaped = "utf" not in (sys.stdout.encoding or "").lower()
        self._write(sys.stdout, json.dumps(data, ensure_ascii=escaped, indent=indent, default=str))

    def table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        empty: str = "",
        right: Sequence[str] = (),
        optional: Sequence[str] = (),
    ) -> None:
        """A table for people, or the sentence ``empty`` if there are no rows.

        Args:
            right: columns of numbers.
            optional: columns that are left out where no row has anything in them.
        """
        cells = [[clean(cell) for cell in row] for row in rows]
        shown = [
            place
            for place, header in enumerate(headers)
            if header not in optional or any(row[place] for row in cells)
        ]
        headers = [headers[place] for place in shown]
        cells = [[row[place] for place in shown] for row in cells]
        if not cells:
            if empty:
                self.say(empty)
        elif sys.stdout.isatty():
            self._rich_table(headers, cells, frozenset(right))
        else:
            self._write(sys.stdout, plain_table(headers, cells, frozenset(right)))

    def facts(self, pairs: Sequence[tuple[str, object]]) -> None:
        """Names and values, one a line, values aligned."""
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            self._write(sys.stdout, f"{name.ljust(width)}  {clean(value)}".rstrip())

    def say(self, text: str = "") -> None:
        """Text that is this command's result; without one, an empty line."""
        self._write(sys.stdout, text)

    # ------------------------------------------------------------------ next to the data

    def note(self, text: str) -> None:
        """Information for people that scripts do not need."""
        if not self.as_json:
            self._write(sys.stderr, text)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Long work: yields a function to call with the progress so far.

        A bar on a terminal, otherwise a line every few seconds; nothing with ``--json``.
        """
        if self.as_json:
            yield lambda _done: None
        elif sys.stderr.isatty():
            console = rich_console.Console(stderr=True, no_color=not self.color or None)
            with rich_progress.Progress(console=console, transient=True) as bar:
                task = bar.add_task(title, total=total)
                yield lambda done: bar.update(task, completed=done)
        else:
            said_at = time.monotonic()

            def report(done: int) -> None:
                nonlocal said_at
                if time.monotonic() - said_at >= PROGRESS_LINE_SECONDS:
                    said_at = time.monotonic()
                    self.note(f"{title}: {done} of {total}")

            yield report

    @contextmanager
    def count(self, title: str, what: str) -> Iterator[Callable[[int], None]]:
        """Long work of unknown length: yields a function to call with the count so far.

        A line that changes on a terminal, otherwise one every few seconds; nothing with
        ``--json``.
        """
        if self.as_json:
            yield lambda _done: None
        elif sys.stderr.isatty():
            console = rich_console.Console(stderr=True, no_color=not self.color or None)
            with console.status(title) as status:
                yield lambda done: status.update(f"{title}: {done} {what}")
        else:
            said_at = time.monotonic()

            def report(done: int) -> None:
                nonlocal said_at
                if time.monotonic() - said_at >= PROGRESS_LINE_SECONDS:
                    said_at = time.monotonic()
                    self.note(f"{title}: {done} {what}")

            yield report

    # ------------------------------------------------------------------ inside

    def _rich_table(
        self, headers: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[str]
    ) -> None:

        table = rich_table.Table(box=rich_box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for header in headers:
            table.add_column(
                header, justify="right" if header in right else "left", overflow="fold"
            )
        for row in rows:
            table.add_row(*(rich_text.Text(cell) for cell in row))
        rich_console.Console(no_color=not self.color or None, highlight=False).print(table)

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        print(text, file=stream, flush=True)
