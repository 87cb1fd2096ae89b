"""JSON with ``NaN`` or ``Infinity`` in place of a number, as C's printf writes them.

Such a message is not JSON. Only the strict reader having failed, each such word that stands
where a value may stand is read as ``null``, which is no reading; the others are kept.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["parse", "repair"]

# A string, which is left alone; or a word where a value stands. printf writes nan, -nan, NAN,
# inf, INF; some libraries write NaN, Infinity, and -nan(ind).
_STRING_OR_WORD = re.compile(
    rb'("(?:[^"\\]|\\.)*+")|(?<=[:\[,\s])[+-]?(?:nan(?:\([a-z]*\))?|inf(?:inity)?)(?=[\s,\]}])',
    re.DOTALL | re.IGNORECASE,
)
_HINT = re.compile(rb"nan|inf", re.IGNORECASE)
_decode = msgspec.json.Decoder().decode


def repair(payload: bytes) -> tuple[bytes, int]:
    """The payload with ``null`` in place of every such word, and how many there were."""
    if not _HINT.search(payload):
        return payload, 0
    words = 0

    def replace(found: re.Match[bytes]) -> bytes:
        nonlocal words
        if found[1] is not None:
            return found[1]
        words += 1
        return b"null"

    return _STRING_OR_WORD.sub(replace, payload), words


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
