"""The little of Markdown that the tests need: links, headings and fenced code."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["anchors", "commands", "links"]

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)(.*)$")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
_LINK = re.compile(r"\[[^\]]*\]\(<?([^)>\s]+)>?(?: +\"[^\"]*\")?\)")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]: +<?([^>\s]+)>?")


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it stands in a fenced block."""
    fence = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found and not fence:
            fence = found[1]
        elif found and found[1].startswith(fence) and not found[2].strip():
            fence = ""
        else:
            yield line, bool(fence)


def links(text: str) -> list[str]:
    """Every link target outside code, in order."""
    found = []
    for line, code in _lines(text):
        if code:
            continue
        plain = re.sub(r"`[^`]*`", "", line)
        found += _LINK.findall(plain) + _DEFINITION.findall(plain)
    return found


def anchors(text: str) -> set[str]:
    """What ``#…`` may follow the page's name: its headings, the way forges spell them."""
    found: set[str] = set()
    for line, code in _lines(text):
        heading = None if code else _HEADING.match(line)
        if heading is None:
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        again = 0
        while (name := f"{slug}-{again}" if again else slug) in found:
            again += 1
        found.add(name)
    return found


def commands(text: str, program: str) -> list[str]:
    """The first word after ``program`` wherever it is called in code, fenced or not."""
    call = re.compile(rf"(?:^|[\s;&|$`(]){re.escape(program)} +([a-z][\w-]*)")
    found = []
    for line, code in _lines(text):
        for piece in [line] if code else re.findall(r"`([^`]*)`", line):
            found += call.findall(piece.partition(" # ")[0])
    return found
