"""The order of firmware versions, the same as the platform's. Pure.

``1.4`` is ``1.4.0`` and ``v1.4``; ``1.10`` comes after ``1.9``; ``1.4.0-rc1`` comes before
``1.4.0``; what follows ``+`` does not count.
"""

from __future__ import annotations

import re

__all__ = ["version_key"]

_RELEASE = re.compile(r"\d+(?:\.\d+)*", re.ASCII)
_BEFORE = re.compile(r"(?:alpha|beta|dev|pre|rc|snapshot)(?![a-z])|[ab](?=\d)", re.ASCII)
_PART = re.compile(r"(\d+)|([^\d.\-_~ ]+)", re.ASCII)


def version_key(text: str) -> str:
    """A text for a version: these texts sort as the versions do."""
    plain = "".join(c if c >= " " else " " for c in text.strip().lower())
    if re.match(r"v\.? ?\d", plain, re.ASCII):
        plain = plain.lstrip("v. ")
    release = _RELEASE.match(plain)
    if release is None:
        return f"0{_parts(plain)}"
    rest = plain[release.end() :].partition("+")[0].strip()
    numbers = [_number(one) for one in release[0].split(".")]
    while numbers and numbers[-1] == _number("0"):
        numbers.pop()
    # In the order in which they sort: "-" earlier, "." the version itself, "/" later.
    if not rest:
        end = "."
    elif rest[0] in "-~" or _BEFORE.match(rest.lstrip("._ ")):
        end = "-" + _parts(rest)
    else:
        end = "/" + _parts(rest)
    return f"1{''.join(numbers)}{end}"


def _parts(text: str) -> str:
    return "".join(
        _number(number) if number else f"w{word}\x01" for number, word in _PART.findall(text)
    )


def _number(digits: str) -> str:
    plain = digits.lstrip("0")
    return f"n{len(plain):02x}{plain}"
