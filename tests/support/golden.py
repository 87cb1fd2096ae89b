"""Sentences that people read, in tests/golden/sentences.txt, so that wording can improve freely.

Tests assert codes and facts. Where the wording itself is shown to a person, a test compares it with
its section of that file. ``make golden`` writes the file again from what the program prints; the
difference is then read like any other change.
"""

from __future__ import annotations

import difflib
import os
import re

from tests.support.source import ROOT

PATH = ROOT / "tests" / "golden" / "sentences.txt"
WRITE = os.environ.get("MOORING_GOLDEN") == "write"
HEADING = re.compile(r"^== (.+) ==\n", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Name → text, without the blank line that ends each."""
    parts = HEADING.split(text)
    return {name: body.rstrip("\n") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def rendered(found: dict[str, str]) -> str:
    return "\n".join(f"== {name} ==\n{body}\n" for name, body in sorted(found.items()))


def check_sentences(name: str, text: str) -> None:
    """Compares ``text`` with the section ``name``; prints the difference when it fails."""
    text = text.rstrip("\n")
    known = sections(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    if WRITE:
        PATH.write_text(rendered({**known, name: text}), encoding="utf-8")
        return
    assert name in known, f"{PATH} has no section {name!r}: run `make golden`"
    difference = "\n".join(
        difflib.unified_diff(
            known[name].split("\n"), text.split("\n"), "expected", "printed", lineterm=""
        )
    )
    assert not difference, f"{name}: if this is better, run `make golden`\n{difference}"
