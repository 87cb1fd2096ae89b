"""Which part of a file a request asks for (RFC 9110, 14). Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Part", "not_modified", "part_of", "whole"]

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


class Part(NamedTuple):
    """Bytes of a file, from ``first`` to before ``end``.

    Attributes:
        partial: the answer is 206, not 200.
        suffix: the request asked for a number of bytes at the end.
    """

    first: int
    end: int
    partial: bool
    suffix: bool = False

    @property
    def size(self) -> int:
        return self.end - self.first


def whole(size: int) -> Part:
    """The file from beginning to end."""
    return Part(0, size, partial=False)


def part_of(header: str, if_range: str, etag: str, size: int) -> Part | None:
    """The part to send.

    A header that is not valid, or names several ranges, is ignored, as a server may [14.2]. So is
    one whose ``If-Range`` is not exactly the entity tag [13.1.5]: the file has no date.

    Args:
        header: of the name ``Range``; empty: none.
        if_range: the header of that name.
        etag: of the file, strong, with its quotes.
        size: bytes of the file, at least 1.

    Returns:
        ``None``: no byte of the file is in the range; the answer is 416.
    """
    found = _RANGE.fullmatch(header)
    if found is None or (if_range and if_range.strip() != etag):
        return whole(size)
    first, last = found.groups()
    if not first:
        if not last:
            return whole(size)
        length = min(int(last), size)
        return Part(size - length, size, partial=True, suffix=True) if length else None
    start = int(first)
    if last and int(last) < start:
        return whole(size)
    if start >= size:
        return None
    return Part(start, min(int(last) + 1, size) if last else size, partial=True)


def not_modified(header: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names the file as it is [13.1.2]."""
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return etag in tags or header.strip() == "*"
