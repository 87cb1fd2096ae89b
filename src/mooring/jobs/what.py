"""What a job does, as each kind declares it: checked at its entry. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from mooring.errors import Invalid

__all__ = ["BYTES_MAX", "What", "read"]

BYTES_MAX = 65_536

T = TypeVar("T", bound="What")


class What(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of what kinds declare. Durations in seconds."""

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def read(given: Mapping[str, Any], kind: type[T]) -> T:
    """What somebody asks for.

    Raises:
        Invalid: ``invalid_job``: it is not what the kind declares; the message says where.
    """
    try:
        found = msgspec.convert(dict(given), kind)
        size = len(msgspec.json.encode(found))
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as exc:
        raise Invalid(
            f"What the job does is not valid: {str(exc)[:300]}.",
            hint="The reference of the HTTP API lists the fields of each kind.",
            code="invalid_job",
        ) from exc
    if size > BYTES_MAX:
        raise Invalid(
            f"What the job does has {size} bytes; at most {BYTES_MAX} are allowed.",
            hint="Send less.",
            code="invalid_job",
        )
    return found
