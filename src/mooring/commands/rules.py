"""The life of a command: every state, every event, and what follows. Pure.

``TABLE`` holds all of it: every other pair of state and event changes nothing, because
the event came too late or was repeated. docs/explanation/commands.md shows the table.

Failure invariant: a state claims only what its evidence shows. ``sent`` means that the broker had
the device connected and subscribed when it took the message, ``delivered`` that the device
reports it, ``done`` that it replied or showed the effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "ATTEMPTS_MAX",
    "FINAL",
    "OPEN",
    "OUTCOMES",
    "TABLE",
    "WITHOUT_OUTCOME",
    "Event",
    "Facts",
    "Guard",
    "Rule",
    "State",
    "deadline",
    "follow",
    "reply_event",
]

ATTEMPTS_MAX = 5
"""How often a command is handed over at most, where it may be repeated."""


class State(StrEnum):
    """Where a command is."""

    QUEUED = "queued"  # waits until its device is connected and subscribed
    SENT = "sent"  # the broker took it while the device was connected and subscribed
    DELIVERED = "delivered"  # the device reports that it has it
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"  # the device did not answer in time
    UNCONFIRMED = "unconfirmed"  # the device has no way to answer
    EXPIRED = "expired"  # it was never handed over
    CANCELLED = "cancelled"  # it was never handed over, or the device reports that it was cancelled


OPEN = frozenset({State.QUEUED, State.SENT, State.DELIVERED})
WITHOUT_OUTCOME = frozenset({State.SENT, State.DELIVERED})
"""Handed over, and nothing more is known."""
OUTCOMES = frozenset({State.DONE, State.FAILED, State.REJECTED})
FINAL = frozenset(State) - OPEN


class Event(StrEnum):
    """What happens to a command."""

    TAKEN = "taken"  # the broker took it for the device's session
    ACCEPTED = "reply: accepted"  # or running
    SUCCEEDED = "reply: done"
    FAILED = "reply: failed"
    REJECTED = "reply: rejected"
    CANCELLED = "reply: cancelled"
    EFFECT = "effect"  # what the dialect declares in done_when
    SESSION_ENDED = "session ended"
    TIME = "time"  # the deadline of its state
    CANCEL = "cancel"  # somebody wants it


class Guard(StrEnum):
    """What else must be true."""

    ALWAYS = ""
    ANSWERABLE = "the dialect has replies, or the command an effect"
    NO_ANSWER = "the dialect has neither replies nor an effect"
    EFFECT = "the dialect declares an effect of the command"
    CANCELLABLE = "the dialect has a channel for cancelling"
    REPEATABLE = "it may be repeated, and was handed over fewer than 5 times"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a command's dialect and device allow.

    Attributes:
        replies: the dialect has a channel for replies.
        effect: the dialect declares an effect of this command.
        repeatable: the device is known to recognise a command that comes again.
        attempts: how often it was handed over.
        cancellable: the device can be asked to cancel it.
    """

    replies: bool
    effect: bool = False
    repeatable: bool = False
    attempts: int = 0
    cancellable: bool = False

    def allow(self, guard: Guard) -> bool:
        match guard:
            case Guard.ALWAYS:
                return True
            case Guard.ANSWERABLE:
                return self.replies or self.effect
            case Guard.NO_ANSWER:
                return not (self.replies or self.effect)
            case Guard.EFFECT:
                return self.effect
            case Guard.CANCELLABLE:
                return self.cancellable
            case Guard.REPEATABLE:
                return self.repeatable and self.attempts < ATTEMPTS_MAX


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table.

    Attributes:
        evidence: what is recorded as the reason.
        late: whether the outcome is marked as late.
    """

    state: State
    event: Event
    guard: Guard
    to: State
    evidence: str
    late: bool = False


_ANSWERS = {
    Event.SUCCEEDED: State.DONE,
    Event.FAILED: State.FAILED,
    Event.REJECTED: State.REJECTED,
    Event.CANCELLED: State.CANCELLED,
}
# The device may answer before the sender has recorded that the broker took the command.
_HANDED_OVER = (State.QUEUED, State.SENT, State.DELIVERED)

TABLE: tuple[Rule, ...] = (
    Rule(State.QUEUED, Event.TAKEN, Guard.ALWAYS, State.SENT, "packet"),
    Rule(State.QUEUED, Event.TIME, Guard.ALWAYS, State.EXPIRED, "clock"),
    Rule(State.QUEUED, Event.CANCEL, Guard.ALWAYS, State.CANCELLED, "person"),
    Rule(State.QUEUED, Event.ACCEPTED, Guard.ALWAYS, State.DELIVERED, "reply"),
    Rule(State.SENT, Event.ACCEPTED, Guard.ALWAYS, State.DELIVERED, "reply"),
    *(
        Rule(state, event, Guard.ALWAYS, to, "reply")
        for state in _HANDED_OVER
        for event, to in _ANSWERS.items()
    ),
    # The device is asked; it stays where it is until the device answers.
    Rule(State.SENT, Event.CANCEL, Guard.CANCELLABLE, State.SENT, "person"),
    Rule(State.DELIVERED, Event.CANCEL, Guard.CANCELLABLE, State.DELIVERED, "person"),
    Rule(State.SENT, Event.EFFECT, Guard.EFFECT, State.DONE, "effect"),
    Rule(State.DELIVERED, Event.EFFECT, Guard.EFFECT, State.DONE, "effect"),
    Rule(State.SENT, Event.SESSION_ENDED, Guard.REPEATABLE, State.QUEUED, "broker event"),
    Rule(State.SENT, Event.TIME, Guard.ANSWERABLE, State.TIMED_OUT, "clock"),
    Rule(State.SENT, Event.TIME, Guard.NO_ANSWER, State.UNCONFIRMED, "clock"),
    Rule(State.DELIVERED, Event.TIME, Guard.ANSWERABLE, State.TIMED_OUT, "clock"),
    Rule(State.DELIVERED, Event.TIME, Guard.NO_ANSWER, State.UNCONFIRMED, "clock"),
    *(
        Rule(State.TIMED_OUT, event, Guard.ALWAYS, to, "reply", late=True)
        for event, to in _ANSWERS.items()
    ),
)

_BY_PAIR: dict[tuple[State, Event], tuple[Rule, ...]] = {}
for _rule in TABLE:
    _BY_PAIR[_rule.state, _rule.event] = (*_BY_PAIR.get((_rule.state, _rule.event), ()), _rule)


def follow(state: State, event: Event, facts: Facts) -> Rule | None:
    """The line that applies; ``None``: nothing changes."""
    for rule in _BY_PAIR.get((state, event), ()):
        if facts.allow(rule.guard):
            return rule
    return None


def deadline(
    state: State,
    facts: Facts,
    *,
    expires_at: int,
    sent_at: int | None,
    reply_timeout_ms: int,
    unconfirmed_ms: int,
) -> int | None:
    """When ``Event.TIME`` happens, epoch milliseconds; ``None`` for a state that ends it."""
    if state is State.QUEUED:
        return expires_at
    if state in WITHOUT_OUTCOME:
        waits = reply_timeout_ms if facts.allow(Guard.ANSWERABLE) else unconfirmed_ms
        return (sent_at or 0) + waits
    return None


_SUCCESS = frozenset(
    {"ok", "done", "success", "succeeded", "successful", "completed", "complete", "executed"}
)
_FAILURE = frozenset({"failed", "failure", "fail", "error", "interrupted"})
_REFUSAL = frozenset(
    {"rejected", "refused", "denied", "unknown", "unsupported", "invalid", "expired"}
)
_CANCELLED = frozenset({"cancelled", "canceled", "aborted"})
_RUNNING = frozenset(
    {"accepted", "running", "received", "pending", "started", "in_progress", "acknowledged"}
)


def reply_event(said: bool | str | None) -> Event:
    """What a reply means.

    Args:
        said: its outcome: a boolean, a word in lower case, or ``None`` where it says neither.

    A reply without an outcome is one all the same: the device has carried the command out, as
    far as it says. A word that is not known leaves the command open: it shows that the device
    has the command, and no more.
    """
    if said is None or said is True or said in _SUCCESS:
        return Event.SUCCEEDED
    if said is False or said in _FAILURE:
        return Event.FAILED
    if said in _REFUSAL:
        return Event.REJECTED
    if said in _CANCELLED:
        return Event.CANCELLED
    return Event.ACCEPTED


RUNNING_WORDS = _RUNNING
