"""Every worker there is, by the process it runs in. A test injects a fault into each.

The parts declare theirs (``mooring.parts``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Entry", "declare", "declared", "names"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A worker: its name, the role of its process, and what it does.

    ``run`` is its work for an ``App``, where the process can start it without knowing more.
    """

    name: str
    role: str
    does: str
    run: Callable[[Any], Awaitable[None]] | None = field(default=None, compare=False)


_declared: dict[tuple[str, str], Entry] = {}


def declare(entries: Iterable[Entry]) -> None:
    """Adds workers that may run; those that are known already are left as they are.

    Raises:
        ValueError: two workers of one role have the same name.
    """
    for entry in entries:
        if _declared.setdefault((entry.role, entry.name), entry) != entry:
            raise ValueError(f"Two workers of `mooring {entry.role}` are called {entry.name!r}.")


def declared() -> tuple[Entry, ...]:
    """All of them."""
    return tuple(_declared.values())


def names(role: str) -> frozenset[str]:
    """The workers of one role."""
    return frozenset(entry.name for entry in _declared.values() if entry.role == role)
