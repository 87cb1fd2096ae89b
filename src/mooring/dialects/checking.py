"""Reads a dialect's TOML text and explains all mistakes in it.

Three passes: the text as TOML, each table's keys and values (``tables``), and then what
only shows when everything is seen together (``rules``). Nothing is raised for a mistake, so
that one run lists them all.
"""

from __future__ import annotations

import re
import tomllib

from mooring.dialects.lines import Lines
from mooring.dialects.mistakes import Mistake, Report
from mooring.dialects.model import Dialect
from mooring.dialects.rules import check_rules
from mooring.dialects.tables import read_dialect

__all__ = ["check"]

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def check(text: str, source: str) -> tuple[Dialect | None, list[Mistake]]:
    """The dialect, or ``None`` and every mistake found, in the order of the file.

    Args:
        text: the TOML text.
        source: where it came from, kept in ``Dialect.source`` for messages.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [_not_toml(text, str(error))]
    except RecursionError:
        return None, [Mistake(None, "file", "It is nested too deeply.", "")]
    report = Report(Lines(text))
    dialect = read_dialect(data, source, report)
    check_rules(dialect, report)
    mistakes = report.in_order()
    return (None if mistakes else dialect), mistakes


def _not_toml(text: str, message: str) -> Mistake:
    found = _POSITION.search(message)
    line = text.count("\n") + 1
    if found:
        message = message[: found.start()]
        line = int(found[1]) if found[1] else line
    return Mistake(
        line,
        "file",
        f"It is not valid TOML: {message}.",
        "Fix this first. The remaining text was not checked.",
    )
