"""JSON with ``NaN`` or ``Infinity`` instead of a number, as C's printf writes them.

Such a message is not JSON. Only the strict reader having failed, each such word that is
where a value may be is read as ``null``, which is not a reading; the others are kept.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["parse", "repair"]

# printf writes nan, -nan, NAN, inf, INF; some libraries write NaN, Infinity, and -nan(ind).
_WORD = re.compile(
    rb"(?<=[:\[,\s])[+-]?(?:nan(?:\([a-z]*\))?|inf(?:inity)?)(?=[\s,\]}])", re.IGNORECASE
)
REPAIRED_MAX = 8192  # bytes; a longer message with such a word is not JSON
_HINT = re.compile(rb"nan|inf", re.IGNORECASE)
_decode = msgspec.json.Decoder().decode


def repair(payload: bytes) -> tuple[bytes, int]:
    """The payload with ``null`` instead of every such word, and how many there were."""
    if len(payload) > REPAIRED_MAX or not _HINT.search(payload):
        return payload, 0
    # Escapes as two bytes that mean nothing here: then each quote begins or ends a string, and
    # what is outside of strings is every second part.
    plain = payload.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    parts: list[bytes] = []
    words = at = 0
    for number, part in enumerate(plain.split(b'"')):
        given = payload[at : at + len(part)]
        at += len(part) + 1
        if number % 2 == 0 and _HINT.search(given):
            given, found = _WORD.subn(b"null", given)
            words += found
        parts.append(given)
    return b'"'.join(parts), words


def parse(text: str) -> Any:
    """What a stored payload says.

    Raises:
        msgspec.DecodeError: it is not JSON, with or without such words.
        RecursionError: it nests too deep.
    """
    try:
        return _decode(text)
    except msgspec.DecodeError:
        repaired, words = repair(text.encode())
        if not words:
            raise
        return _decode(repaired)
