"""Results on disk: one JSON document with a part for each benchmark, and its tables.

``bench/results/last.json`` gathers what was measured last; ``python -m bench reference`` makes
it the reference, which is committed and shown in the documentation.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.report import report

__all__ = ["DIRECTORY", "facts", "keep", "make_reference", "read"]

DIRECTORY = Path(__file__).resolve().with_name("results")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "how-ingest-works.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def read(directory: Path, name: str = "last") -> dict[str, Any]:
    """What is kept; empty when nothing is."""
    path = directory / f"{name}.json"
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep(directory: Path, part: str, figures: dict[str, Any], case: str = "") -> Path:
    """Puts one benchmark's figures beside those of the others; returns the page of tables.

    Args:
        case: which of several that are kept of this benchmark; replaces the same one alone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    document = read(directory)
    figures = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **figures}
    if case:
        document.setdefault(part, {})[case] = figures
    else:
        document[part] = figures
    document["machine"] = facts()
    return _write(directory, "last", document)


def make_reference(directory: Path, page: Path = PAGE) -> Path:
    """The last figures become the reference, in the documentation too."""
    document = read(directory)
    if not document:
        raise SystemExit(f"Nothing was measured yet: there is no {directory / 'last.json'}.")
    made = _write(directory, "reference", document)
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page} has no place for figures ({BEGIN} … {END}).")
    page.write_text(f"{before}{BEGIN}\n\n{report(document)}\n{END}{after}", encoding="utf-8")
    return made


def _write(directory: Path, name: str, document: dict[str, Any]) -> Path:
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (directory / f"{name}.json").write_text(text, encoding="utf-8")
    page = directory / f"{name}.md"
    page.write_text("# Benchmark figures\n\n" + report(document), encoding="utf-8")
    return page


def facts() -> dict[str, Any]:
    """The machine, and the versions of what counts."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "mosquitto": _first_line(["mosquitto_sub", "--version"], "version"),
        "postgresql": _postgres(),
        "node": _first_line(["node", "--version"], "v"),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _postgres() -> str:
    from tests.support.programs import MissingProgram, find_program  # noqa: PLC0415 - seldom

    try:
        return _first_line([str(find_program("postgres", package="postgresql")), "--version"], ")")
    except MissingProgram:
        return ""


def _first_line(words: list[str], after: str) -> str:
    """The version a program tells, behind a word."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    line = (done.stdout or done.stderr).partition("\n")[0]
    return line.partition(after)[2].split(" (")[0].split(" running")[0].strip() or line.strip()
