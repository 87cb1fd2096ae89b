"""How many dead letters one device may leave in a minute: pure.

A device can send what cannot be stored as fast as the broker takes it. Past its budget of bytes
a dead letter is kept without its payload, past its budget of letters it is only counted.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum, auto

__all__ = ["DeadBudget", "Keep"]

MINUTE_MS = 60_000
LETTERS_MAX = 300  # dead letters of one device in a minute; further ones are counted
BYTES_MAX = 1_048_576  # of their payloads in a minute; further ones are kept without
OWNERS_MAX = 100_000  # devices remembered; past it the minute begins again for all


class Keep(Enum):
    WHOLE = auto()
    WITHOUT_PAYLOAD = auto()
    COUNT_ONLY = auto()


class DeadBudget:
    """Budgets by owner: a device's number, or what else tells senders apart."""

    def __init__(self, letters: int = LETTERS_MAX, bytes_: int = BYTES_MAX) -> None:
        self._letters, self._bytes = letters, bytes_
        self._minute = 0
        self._used: dict[Hashable, tuple[int, int]] = {}

    def take(self, owner: Hashable, size: int, at: int) -> Keep:
        """What is kept of a letter whose payload has ``size`` bytes, at ``at`` (epoch ms)."""
        minute = at // MINUTE_MS
        if minute != self._minute or len(self._used) >= OWNERS_MAX:
            self._minute = minute
            self._used.clear()
        letters, held = self._used.get(owner, (0, 0))
        if letters >= self._letters:
            return Keep.COUNT_ONLY
        whole = held + size <= self._bytes
        self._used[owner] = (letters + 1, held + size if whole else held)
        return Keep.WHOLE if whole else Keep.WITHOUT_PAYLOAD
