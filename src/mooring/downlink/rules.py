"""The life of a downlink: every state, every event, and what follows. Pure.

A row is written ``waiting`` in the transaction that wants it. The sender marks it ``sending``
before anything goes out, so a row that is ``waiting`` without an attempt was never sent. The
broker's answer decides what comes next:

    waiting ──claim──▶ sending ──accepted──▶ sent, or unconfirmed where a reply is expected
       ▲ ▲                │ │
       │ └───lost─────────┘ └──no subscriber──▶ held (the device is away), or unheard
       └──the device connected── held, unconfirmed

A live message is handed over only while its device is connected and subscribed to its topic. It
starts ``queued``, is marked ``sending`` when the device listens, and is ``sent`` when the broker
has taken it, or may have taken it. Where the device recognises repeats it is ``unconfirmed``
instead, and queued again when the session ends without evidence that it arrived; its place among
the device's messages stays the same.

    queued ──claim──▶ sending ──accepted──▶ sent, or unconfirmed where it may be repeated
      ▲                  │                                │
      └──────park────────┴──────────park──────────────────┘

Every open state ends by ``confirm``, ``cancel`` or ``expire``. A device that was away may get a
message that the broker queued and the one that is sent again: delivery is at least once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "LOSSES_MAX",
    "OPEN",
    "TRANSITIONS",
    "Answer",
    "Event",
    "State",
    "Until",
    "answered",
    "follow",
    "pause_ms",
]

PAUSE_FIRST_MS, PAUSE_MOST_MS = 1_000, 300_000
LOSSES_MAX = 4
"""Attempts without any answer after which a message is given up. After the first one it is sent
by itself, so that a message which makes the broker disconnect costs no other its turn."""


class Until(StrEnum):
    """When a downlink is done."""

    ONCE = "once"  # the broker has taken it once, also when nobody listens
    TAKEN = "taken"  # the broker has taken it while a client was subscribed to its topic
    CONFIRMED = "confirmed"  # its origin has confirmed it
    LIVE = "live"  # as TAKEN, while the device is connected and subscribed; never twice
    LIVE_AGAIN = "live_again"  # likewise; what may have been lost is sent again

    @property
    def live(self) -> bool:
        return self in (Until.LIVE, Until.LIVE_AGAIN)


class State(StrEnum):
    """Where a downlink is."""

    WAITING = "waiting"  # to be sent
    QUEUED = "queued"  # to be sent when the device is connected and subscribed
    SENDING = "sending"  # it may be on its way to the broker
    HELD = "held"  # nobody listened; sent again when the device connects
    UNCONFIRMED = "unconfirmed"  # the broker has it; sent again when the device connects
    SENT = "sent"  # the broker has it
    CONFIRMED = "confirmed"  # the device has it
    UNHEARD = "unheard"  # the broker had nobody to give it to
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        return self not in OPEN


OPEN = frozenset({State.WAITING, State.QUEUED, State.SENDING, State.HELD, State.UNCONFIRMED})


class Event(StrEnum):
    """What happens to a downlink."""

    CLAIM = "claim"  # the sender is about to send it
    ACCEPT = "accept"  # the broker has taken it, and that is all that is wanted
    ACCEPT_OPEN = "accept open"  # the broker has taken it; a confirmation is still to come
    HOLD = "hold"  # nobody listened, and the device is away
    DROP = "drop"  # nobody listened, and it is not to be sent again
    PARK = "park"  # the device does not listen now
    RETRY = "retry"  # no answer, a rejection, or nobody listened yet
    GIVE_UP = "give up"  # it can never be sent
    CONNECT = "connect"  # its device has connected
    CONFIRM = "confirm"
    CANCEL = "cancel"
    EXPIRE = "expire"


_FROM_SENDING = {
    Event.ACCEPT: State.SENT,
    Event.ACCEPT_OPEN: State.UNCONFIRMED,
    Event.HOLD: State.HELD,
    Event.DROP: State.UNHEARD,
    Event.RETRY: State.WAITING,
    Event.PARK: State.QUEUED,
}
_ENDS = {
    Event.CONFIRM: State.CONFIRMED,
    Event.CANCEL: State.CANCELLED,
    Event.EXPIRE: State.EXPIRED,
    Event.GIVE_UP: State.FAILED,
}

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.CLAIM): State.SENDING,
    (State.QUEUED, Event.CLAIM): State.SENDING,
    (State.UNCONFIRMED, Event.PARK): State.QUEUED,
    (State.HELD, Event.CONNECT): State.WAITING,
    (State.UNCONFIRMED, Event.CONNECT): State.WAITING,
    **{(State.SENDING, event): state for event, state in _FROM_SENDING.items()},
    **{(state, event): end for state in OPEN for event, end in _ENDS.items()},
}
"""Pairs that are not here change nothing: the event came too late."""


def follow(state: State, event: Event) -> State | None:
    """The state after an event; ``None``: nothing changes."""
    return TRANSITIONS.get((state, event))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt.

    Attributes:
        acknowledged: whether the broker has answered at all.
        refused: whether it answered with a failure.
        heard: whether a client was subscribed to the topic, as far as the broker says.
        connected: whether the device is in session; ``True`` for a topic of several devices.
    """

    acknowledged: bool
    refused: bool = False
    heard: bool = True
    connected: bool = True


def answered(until: Until, losses: int, answer: Answer) -> Event:
    """What one attempt means for its downlink.

    Args:
        losses: attempts without an answer before this one.
    """
    if until.live:
        return _answered_live(until, losses, answer)
    if not answer.acknowledged:
        return Event.GIVE_UP if losses + 1 >= LOSSES_MAX else Event.RETRY
    if answer.refused:
        return Event.RETRY
    if answer.heard:
        return Event.ACCEPT_OPEN if until is Until.CONFIRMED else Event.ACCEPT
    if until is Until.ONCE:
        return Event.DROP
    # A device subscribes some time after it has connected.
    return Event.RETRY if answer.connected else Event.HOLD


def _answered_live(until: Until, losses: int, answer: Answer) -> Event:
    again = until is Until.LIVE_AGAIN
    taken = Event.ACCEPT_OPEN if again else Event.ACCEPT
    if answer.acknowledged:
        return taken if answer.heard and not answer.refused else Event.PARK
    # It may have arrived. Only a device that recognises repeats may get it again.
    return Event.PARK if again and losses + 1 < LOSSES_MAX else taken


def pause_ms(attempts: int) -> int:
    """Milliseconds before the next attempt after this many."""
    return min(PAUSE_MOST_MS, PAUSE_FIRST_MS << min(max(attempts, 1) - 1, 10))
