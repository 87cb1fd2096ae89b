"""Values of which 100,000 are made in a row.

A frozen dataclass sets each field through ``object.__setattr__``, which makes it take five times as
long to make as one that is not frozen. A record is a dataclass that the type checker alone holds to
be frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

__all__ = ["record"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """As ``dataclass(frozen=True, slots=True)``, without the check when a field is set."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
