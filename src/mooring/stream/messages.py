"""The messages of a client, as JSON, and what is wrong with them. Pure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mooring.errors import Invalid
from mooring.stream.model import KINDS

__all__ = ["DEVICES_MAX", "Ask", "Cursor", "Subscribe", "parse", "read_cursor", "write_cursor"]

DEVICES_MAX = 1_000  # named in one subscription
GROUPS_MAX = 50

Name = Annotated[str, Meta(min_length=1, max_length=300)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]


class Subscribe(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A client wants changes. Without ``devices`` and ``groups``: of every device that it sees."""

    id: Id
    devices: Annotated[list[Name], Meta(max_length=DEVICES_MAX)] | None = None
    groups: Annotated[list[Name], Meta(max_length=GROUPS_MAX)] | None = None
    kinds: Annotated[list[Name], Meta(min_length=1, max_length=64)] | None = None
    from_: Annotated[str, Meta(max_length=64)] | None = msgspec.field(name="from", default=None)


class Ask(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One message of a client: exactly one of these."""

    token: Annotated[str, Meta(max_length=4096)] | None = None
    subscribe: Subscribe | None = None
    unsubscribe: Id | None = None


class Cursor(msgspec.Struct, frozen=True):
    """Up to where a client knows: a number of one process."""

    process: str
    number: int


_DECODER = msgspec.json.Decoder(Ask)
_EXAMPLE = '{"subscribe": {"id": "1"}}'


def parse(text: str | bytes) -> Ask:
    """A message of a client.

    Raises:
        Invalid: it is not one, in words.
    """
    try:
        ask = _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise _invalid(f"The message is not valid: {exc}.") from exc
    given = [one for one in (ask.token, ask.subscribe, ask.unsubscribe) if one is not None]
    if len(given) != 1:
        raise _invalid("A message has exactly one of `token`, `subscribe` and `unsubscribe`.")
    if ask.subscribe is not None and ask.subscribe.kinds is not None:
        unknown = sorted(set(ask.subscribe.kinds) - KINDS)
        if unknown:
            raise _invalid(
                f"There is no kind {unknown[0][:64]!a} in the stream.",
                hint=f"Kinds are {', '.join(sorted(KINDS))}.",
            )
    return ask


def write_cursor(process: str, number: int) -> str:
    return f"{process}.{number}"


def read_cursor(text: str) -> Cursor | None:
    """``None``: it is none of ours, so nothing can be resumed."""
    process, _, number = text.partition(".")
    if not process or not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    return Cursor(process, int(number))


def _invalid(message: str, hint: str = "") -> Invalid:
    return Invalid(message, hint=hint or f"For example: {_EXAMPLE}", code="invalid_message")


def error_document(id: str | None, fault: Any) -> dict[str, Any]:
    """What a client receives for a ``MooringError``."""
    said = {"code": fault.slug, "message": fault.message, "hint": fault.hint}
    return {"error": said} if id is None else {"id": id, "error": said}
