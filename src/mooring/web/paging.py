"""Cursor paging: at most ``LIMIT_MAX`` items, a cursor nobody has to understand, a link.

A cursor is the sort key of a page's last item, so a page costs the same wherever it is, and
what is added meanwhile shifts nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from mooring.errors import Invalid

__all__ = ["LIMIT_DEFAULT", "LIMIT_MAX", "PageOf", "Paging", "PagingDep", "decode", "encode"]

LIMIT_DEFAULT, LIMIT_MAX = 50, 500
_BIGGEST = 2**63 - 1

Key = tuple[int | str, ...]
T = TypeVar("T")


def encode(key: Key) -> str:
    """The cursor for a sort key."""
    text = json.dumps(list(key), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, *types: type[int] | type[str]) -> Key:
    """The sort key in a cursor.

    Raises:
        Invalid: it is not a cursor of this list.
    """
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", True))
    except (ValueError, binascii.Error, RecursionError):
        found = None
    if (
        isinstance(found, list)
        and len(found) == len(types)
        and all(_fits(one, wanted) for one, wanted in zip(found, types, strict=True))
    ):
        return tuple(found)
    raise Invalid(
        "The cursor does not belong to this list.",
        hint="Pass the cursor of the previous page unchanged, or none for the first page.",
        code="invalid_cursor",
    )


def _fits(value: object, wanted: type[int] | type[str]) -> bool:
    if wanted is int:
        return type(value) is int and abs(value) <= _BIGGEST
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)


class PageOf(BaseModel, Generic[T]):
    """A piece of a longer list."""

    items: list[T]
    next: str | None = Field(description="Link to the next page; null on the last page.")
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last page.")


@dataclass(frozen=True, slots=True)
class Paging:
    """What a request says about paging."""

    request: Request
    limit: int
    cursor: str | None

    def key(self, *types: type[int] | type[str]) -> Key | None:
        """Where to continue; ``None``: at the beginning."""
        return None if self.cursor is None else decode(self.cursor, *types)

    def page(self, items: Sequence[T], following: Key | None) -> PageOf[T]:
        """The answer; ``following`` is the key to continue behind."""
        if following is None:
            return PageOf(items=list(items), next=None, next_cursor=None)
        cursor = encode(following)
        url = self.request.url.include_query_params(limit=self.limit, cursor=cursor)
        return PageOf(items=list(items), next=f"{url.path}?{url.query}", next_cursor=cursor)

    def cut(self, items: Sequence[T], key: Callable[[T], Key]) -> PageOf[T]:
        """The answer from ``limit + 1`` items: the extra one says that there is more."""
        shown = items[: self.limit]
        return self.page(shown, key(shown[-1]) if len(items) > self.limit else None)


def _paging(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items.")] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=6000, description="`next_cursor` of the previous page.")
    ] = None,
) -> Paging:
    return Paging(request, limit, cursor)


PagingDep = Annotated[Paging, Depends(_paging)]
