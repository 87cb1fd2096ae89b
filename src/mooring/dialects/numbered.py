"""The sequence number of a payload that is otherwise bad."""

from __future__ import annotations

from typing import Annotated

import msgspec

from mooring.dialects.model import Path
from mooring.dialects.payload import MAX_SEQUENCE

__all__ = ["sequence_of"]

_SequenceNumber = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)]


def sequence_of(payload: bytes, path: Path | None) -> int | None:
    """The number, where it can be read at all."""
    if path is None or len(path) != 1:
        return None
    try:
        raw = msgspec.json.decode(payload, type=dict[str, msgspec.Raw]).get(path[0])
        return None if raw is None else msgspec.json.decode(raw, type=_SequenceNumber)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
