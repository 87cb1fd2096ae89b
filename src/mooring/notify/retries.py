"""When a notification is tried again: pure. The schedule is that of Standard Webhooks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mooring.notify.model import State

__all__ = ["SCHEDULE_MS", "UNANSWERED_MAX", "Answer", "Outcome", "Step", "after"]

_S, _MIN, _H = 1_000, 60_000, 3_600_000

SCHEDULE_MS = (
    5 * _S,
    5 * _MIN,
    30 * _MIN,
    2 * _H,
    5 * _H,
    10 * _H,
    14 * _H,
    20 * _H,
    24 * _H,
)
"""Wait after the first failed attempt, the second, …"""

UNANSWERED_MAX = 2
"""Attempts that a receiver has got whole and did not answer in time. It may have acted on each,
so there is one repeat, and no more."""


class Outcome(StrEnum):
    """Of one attempt."""

    ACCEPTED = "accepted"
    FAILED = "failed"  # the receiver did not get it, or says that it failed
    UNANSWERED = "unanswered"  # it got everything, and did not answer in time
    GONE = "gone"  # it wants no more notifications (HTTP 410)
    INVALID = "invalid"  # it can never be sent: the target is not allowed


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt led to.

    Attributes:
        error: for people, without secrets.
        retry_after_ms: how long the receiver asks to wait; at most a day is waited.
    """

    outcome: Outcome
    error: str = ""
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a notification.

    Attributes:
        next_at: of a waiting one, epoch milliseconds.
    """

    state: State
    next_at: int | None = None


def after(
    answer: Answer, *, attempts: int, unanswered: int, now: int, routine: bool = False
) -> Step:
    """What follows from an attempt.

    Args:
        attempts: how many there were, with this one.
        unanswered: how many of those were not answered, with this one.
        routine: it is sent again soon anyway.
    """
    if answer.outcome is Outcome.ACCEPTED:
        return Step(State.SENT)
    if answer.outcome in (Outcome.GONE, Outcome.INVALID) or routine:
        return Step(State.FAILED)
    if attempts > len(SCHEDULE_MS) or unanswered >= UNANSWERED_MAX:
        return Step(State.FAILED)
    wait = max(SCHEDULE_MS[attempts - 1], min(answer.retry_after_ms, SCHEDULE_MS[-1]))
    return Step(State.WAITING, now + wait)
