"""Versions of firmware, and the text by which they are compared in the database. Pure.

``1.4`` is the version ``1.4.0``, ``v1.4`` too; ``1.10`` comes after ``1.9``; ``1.4.0-rc1`` and
``1.4.0rc1`` come before ``1.4.0``, ``1.4.0b`` (a letter alone) after it; what follows ``+`` does
not count. A text that does not begin with a number has an order among its own kind only.
"""

from __future__ import annotations

import re

__all__ = ["KEY_MAX", "version_key"]

KEY_MAX = 512
"""Characters of a key."""

_RELEASE = re.compile(r"\d+(?:\.\d+)*", re.ASCII)
_BEFORE = re.compile(r"(?:alpha|beta|dev|pre|rc|snapshot)(?![a-z])|[ab](?=\d)", re.ASCII)
_PART = re.compile(r"(\d+)|([^\d.\-_~ ]+)", re.ASCII)

# In the order in which they sort, where a version may continue or end.
_EARLIER, _END, _LATER = "-", ".", "/"


def version_key(text: str) -> str:
    """The key of a version: keys sort, by code points, as the versions do."""
    plain = "".join(c if c >= " " else " " for c in text.strip().lower())
    if re.match(r"v\.? ?\d", plain, re.ASCII):
        plain = plain.lstrip("v. ")
    release = _RELEASE.match(plain)
    if release is None:
        return f"0{_parts(plain)}"[:KEY_MAX]
    rest = plain[release.end() :].partition("+")[0].strip()
    numbers = [_number(one) for one in release[0].split(".")]
    while numbers and numbers[-1] == _number("0"):
        numbers.pop()
    if not rest:
        end = _END
    elif rest[0] in "-~" or _BEFORE.match(rest.lstrip("._ ")):
        end = _EARLIER + _parts(rest)
    else:
        end = _LATER + _parts(rest)
    return f"1{''.join(numbers)}{end}"[:KEY_MAX]


def _parts(text: str) -> str:
    """Numbers by their value, before words."""
    return "".join(
        _number(number) if number else f"w{word}\x01" for number, word in _PART.findall(text)
    )


def _number(digits: str) -> str:
    plain = digits.lstrip("0")
    return f"n{len(plain):02x}{plain}"
