"""When which alerts are sent to a recipient: pure, the rules of groups and one table of states,
which docs/explanation/notifications.md shows.

A recipient has an *item* for each alert that concerns it. Items of a group go out together: the
first one waits for others, then a group sends at most once an interval, and repeats what is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mooring.notify.model import CRITICAL

__all__ = [
    "HIDING_MS",
    "LOOK_MS",
    "NEWS",
    "TABLE",
    "Decision",
    "Event",
    "Item",
    "State",
    "Timing",
    "decide",
    "follow",
    "is_hidden",
]

LOOK_MS = 15_000
"""How soon an item that a wider alert hides is looked at again."""

HIDING_MS = 120_000
"""A wider alert hides alerts that were raised at most so long before it."""


class State(StrEnum):
    """What a recipient knows of an alert."""

    PENDING = "pending"  # the alert is open, and the recipient does not know
    TOLD = "told"  # the recipient knows that it is open
    WORSE = "worse"  # the same, and it became more severe
    ENDING = "ending"  # the alert is cleared, and the recipient believes it open
    OVER = "over"  # nothing is left to say


class Event(StrEnum):
    RAISED = "raised"  # it is open, and no worse than the recipient knows
    WORSE = "worse"  # it is open, and more severe than the recipient knows
    CLEARED = "cleared"
    NOTIFIED = "notified"


_P, _T, _W, _E, _O = State.PENDING, State.TOLD, State.WORSE, State.ENDING, State.OVER

TABLE: Mapping[State, Mapping[Event, State]] = {
    _P: {Event.RAISED: _P, Event.WORSE: _P, Event.CLEARED: _O, Event.NOTIFIED: _T},
    _T: {Event.RAISED: _T, Event.WORSE: _W, Event.CLEARED: _E, Event.NOTIFIED: _T},
    _W: {Event.RAISED: _T, Event.WORSE: _W, Event.CLEARED: _E, Event.NOTIFIED: _T},
    _E: {Event.RAISED: _T, Event.WORSE: _W, Event.CLEARED: _E, Event.NOTIFIED: _O},
    _O: {Event.RAISED: _P, Event.WORSE: _P, Event.CLEARED: _O},
}


def follow(state: State, event: Event) -> State:
    """The state after an event.

    Raises:
        KeyError: the event cannot happen in that state.
    """
    return TABLE[state][event]


@dataclass(frozen=True, slots=True)
class Item:
    """What one recipient knows of one alert, or is to be sent.

    Attributes:
        since: when it came into a state that is to be sent; epoch milliseconds.
        told_at: when the recipient was last notified of it.
        hidden: a wider alert explains it.
        snoozed_until: of the alert.
        acknowledged: somebody looks after the alert.
    """

    alert: int
    state: State
    severity: int
    since: int
    told_at: int | None = None
    hidden: bool = False
    snoozed_until: int | None = None
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """Of a recipient, in milliseconds.

    Attributes:
        whole: a notification names everything that is open, not only what is due.
        acknowledged: alerts that somebody looks after are repeated, too.
    """

    wait_ms: int = 30_000
    interval_ms: int = 300_000
    repeat_ms: int = 14_400_000
    whole: bool = True
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be sent now, in the order of the items, or when to look again.

    Attributes:
        due_at: the next time at which something may be due, if nothing else happens.
    """

    send: tuple[Item, ...] = ()
    due_at: int | None = None


NEWS = frozenset({State.PENDING, State.WORSE, State.ENDING})


def decide(
    items: Sequence[Item], timing: Timing, now: int, quiet_until: int | None = None
) -> Decision:
    """What a group sends now.

    Args:
        items: all items of one recipient and group.
        quiet_until: the end of the recipient's quiet time; ``None``: it is not quiet.
    """
    wake: list[int] = []
    free = [item for item in items if not _held(item, now, quiet_until, wake)]
    news = [item for item in free if item.state in NEWS]
    told = [item.told_at for item in items if item.told_at is not None]
    repeats = [
        (item.told_at + timing.repeat_ms, item)
        for item in free
        if item.state is State.TOLD
        and item.told_at is not None
        and (timing.acknowledged or not item.acknowledged)
    ]
    due = [at for at, _ in repeats]
    if news:
        first = min(item.since for item in news) + timing.wait_ms
        due.append(max(first, max(told) + timing.interval_ms) if told else first)
    if not due or min(due) > now:
        return Decision((), min((*due, *wake), default=None))
    if timing.whole:
        return Decision(tuple(free))
    late = {id(item) for at, item in repeats if at <= now}
    return Decision(tuple(i for i in free if i.state in NEWS or id(i) in late))


def _held(item: Item, now: int, quiet_until: int | None, wake: list[int]) -> bool:
    """Whether it is not to be sent now; when that may end is added to ``wake``."""
    ends = []
    if item.hidden:
        ends.append(now + LOOK_MS)
    snoozed = item.snoozed_until
    if snoozed is not None and snoozed > now and item.state is not State.ENDING:
        ends.append(snoozed)
    if quiet_until is not None and quiet_until > now and item.severity < CRITICAL:
        ends.append(quiet_until)
    if ends and (item.state in NEWS or item.state is State.TOLD):
        wake.append(max(ends))
    return bool(ends)


def is_hidden(*, of_device: bool, raised_at: int, wider_since: int | None) -> bool:
    """Whether a wider alert explains an alert: while the broker is unreachable, alerts about
    devices that were raised since shortly before.

    Args:
        wider_since: when the wider alert was raised; ``None``: it is not open.
    """
    return of_device and wider_since is not None and raised_at >= wider_since - HIDING_MS
