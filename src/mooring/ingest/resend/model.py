"""What resending works with, and what became of each message. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

__all__ = ["AT_ONCE", "RESEND_MAX", "Kept", "Outcome", "Resent", "Tried"]

RESEND_MAX = 500
"""Dead letters of one request."""
AT_ONCE = 50
"""Dead letters of one transaction."""


class Outcome(StrEnum):
    """What became of a dead letter."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The device had sent the same message again, and that was stored."""
    REJECTED = "rejected"
    """It still cannot be stored; the dead letter stays."""
    NOT_FOUND = "not_found"
    """No such dead letter, for this person: stored meanwhile, deleted, or never there."""


class Kept(NamedTuple):
    """A dead letter, as it is stored. ``size``: bytes that the message had."""

    id: int
    received_at: int
    reason: str
    topic: str
    tenant: str | None
    device_id: int | None
    size: int
    payload: bytes


class Tried(NamedTuple):
    """One dead letter's outcome; ``reason`` and ``detail`` say why it is rejected now."""

    id: int
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Resent:
    """What a request has done.

    Attributes:
        tried: the outcome of each, in the order in which the messages came.
        next_after: the number after which the next request continues; ``None``: no more match.
    """

    tried: Sequence[Tried]
    next_after: int | None = None

    def count(self, outcome: Outcome) -> int:
        """How many have that outcome."""
        return sum(one.outcome is outcome for one in self.tried)
