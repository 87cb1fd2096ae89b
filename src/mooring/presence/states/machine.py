"""Whether a device is there: states, what leads from one to another, and when. Pure.

The broker's own word on sessions counts most: while a session of the device is open, nothing that
is said about its absence counts (a Last Will belongs to an older session, a goodbye is followed by
the end of the session). Where no session is known (HTTP, a broker that does not report them), the
device's statements and messages decide.

Invariant: ``advance`` and ``tick`` never raise, whatever they are given, and leave a record that
``due`` has a later time for, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "CHANGES_MAX",
    "NOT_BACK",
    "TABLE",
    "Event",
    "Record",
    "State",
    "advance",
    "due",
    "grace",
    "restarted",
    "shown",
    "silence_ms",
    "tick",
]

MINUTE = 60_000

HOLD_MS = 5_000
"""An absence counts when it has lasted so long: a restart of the broker begins with one."""
LAG_MS = MINUTE
"""A message may be stored so long after its session has ended."""
ABSENCE_MS = 30 * MINUTE
"""How long an announced absence may last."""
SILENCE_MIN_MS = 30_000
"""A shorter silence is nothing, however often a device sends."""
CHANGES_MAX = 5
"""So many changes between "there" and "gone" in ``CHANGES_MS`` are flapping."""
CHANGES_MS = 10 * MINUTE
CALM_MS = 30 * MINUTE
"""It ends after so long without a change."""

NOT_BACK = "did not come back after a restart"
NOT_UPDATED = "did not come back after an announced absence"
SAID_SO = "reported offline"


class State(StrEnum):
    NEVER_SEEN = "never_seen"
    ONLINE = "online"
    SILENT = "silent"
    UPDATING = "updating"
    OFFLINE = "offline"
    FLAPPING = "flapping"


class Event(StrEnum):
    """What is known of a device at one moment."""

    LOGIN = "login"  # the broker: a session has begun
    GONE = "gone"  # the broker: the last session has ended
    SAID_ONLINE = "said online"
    SAID_OFFLINE = "said offline"
    HEARD = "heard"  # any message
    ANNOUNCED = "announced"  # the device is about to be away
    SILENCE = "silence"  # nothing for 1.5 times the expected interval
    ABSENT = "absent"  # an absence has lasted ``HOLD_MS``, or longer than was announced


_O, _S, _U, _F = State.ONLINE, State.SILENT, State.UPDATING, State.OFFLINE

# What each event leads to. GONE and SAID_OFFLINE lead nowhere at once: ABSENT follows when they
# hold. FLAPPING is not in the table: it is shown instead of the others while they change.
TABLE: Mapping[State, Mapping[Event, State]] = {
    State.NEVER_SEEN: {
        Event.LOGIN: _O,
        Event.SAID_ONLINE: _O,
        Event.HEARD: _O,
        Event.ANNOUNCED: _U,
        Event.ABSENT: _F,
    },
    State.ONLINE: {Event.ANNOUNCED: _U, Event.SILENCE: _S, Event.ABSENT: _F},
    State.SILENT: {
        Event.LOGIN: _O,
        Event.SAID_ONLINE: _O,
        Event.HEARD: _O,
        Event.ANNOUNCED: _U,
        Event.ABSENT: _F,
    },
    State.UPDATING: {Event.LOGIN: _O, Event.SAID_ONLINE: _O, Event.ABSENT: _F},
    State.OFFLINE: {
        Event.LOGIN: _O,
        Event.SAID_ONLINE: _O,
        Event.HEARD: _O,
        Event.ANNOUNCED: _U,
    },
}


class Record(NamedTuple):
    """What is known of one device. Times are epoch milliseconds.

    Attributes:
        state: without regard to flapping.
        since: when it entered the state; reason: why.
        connected: by the broker; ``None``: no session of it was ever reported.
        session_at: when the newest session began, or ended.
        heard_at: its newest message, as far as anybody had to look.
        gone_at, gone_reason: an absence that does not count yet.
        grace_until: the broker or the platform was restarted: until then its absence says nothing.
        announced_at: when it announced an absence.
        changes: the newest changes between "there" and "gone".
        flapping_at: since when it is flapping.
        keepalive: of its newest session, in seconds; 0: none, or not known.
    """

    state: State = State.NEVER_SEEN
    since: int = 0
    reason: str = ""
    connected: bool | None = None
    session_at: int = 0
    heard_at: int = 0
    gone_at: int | None = None
    gone_reason: str = ""
    grace_until: int | None = None
    announced_at: int | None = None
    changes: tuple[int, ...] = ()
    flapping_at: int | None = None
    keepalive: int = 0


def shown(record: Record) -> State:
    """The state that people see."""
    return State.FLAPPING if record.flapping_at is not None else record.state


def silence_ms(interval: int) -> int:
    """How long a device that sends every ``interval`` ms may be silent."""
    return max(interval * 3 // 2, SILENCE_MIN_MS)


def advance(
    record: Record, event: Event, at: int, reason: str = "", *, keepalive: int | None = None
) -> Record:
    """The record once something more is known; events of one device in their order.

    Args:
        at: when it happened.
        reason: of an end, for people.
        keepalive: of a login, in seconds; ``None``: not known.
    """
    match event:
        case Event.LOGIN:
            record = record._replace(
                connected=True,
                session_at=at,
                heard_at=max(at, record.heard_at),
                keepalive=record.keepalive if keepalive is None else keepalive,
            )
            return _move(_there(record)._replace(announced_at=None), event, at, reason)
        case Event.GONE:
            record = record._replace(connected=False, session_at=at)
            return _away(record, at, reason)
        case Event.SAID_OFFLINE:
            return record if record.connected else _away(record, at, reason or SAID_SO)
        case Event.ANNOUNCED if not _late(record, at):
            return _move(_there(record)._replace(announced_at=at), event, at, reason)
        case Event.HEARD | Event.SAID_ONLINE if not _late(record, at):
            record = _there(record._replace(heard_at=max(at, record.heard_at)))
            return _move(record, event, at, reason)
    return record


def grace(record: Record, least_ms: int) -> int:
    """How long the device may take to come back after a restart, in milliseconds: by then it has
    noticed that its connection has ended [MQTT-3.1.2-24]."""
    return max(least_ms, record.keepalive * 1_500)


def restarted(record: Record, at: int, grace_ms: int) -> Record:
    """The broker or the platform was started: what ended with it says nothing of the device.

    Args:
        grace_ms: how long a device may take to come back, at least.
    """
    if record.connected and record.session_at >= at:
        return record  # a session that began since then
    is_there = record.state not in (State.OFFLINE, State.NEVER_SEEN)
    if not is_there and record.gone_at is None:
        return record._replace(connected=None)
    until = at + grace(record, grace_ms)
    return record._replace(connected=None, gone_at=None, gone_reason="", grace_until=until)


def tick(record: Record, at: int, interval: int | None) -> Record:
    """The record once it is ``at``; see ``due``.

    Args:
        interval: how often the device sends, in milliseconds; ``None``: not known.
    """
    if record.gone_at is not None and record.gone_at + HOLD_MS <= at:
        gone_at, reason = record.gone_at, record.gone_reason
        record = record._replace(gone_at=None, gone_reason="")
        record = _move(record, Event.ABSENT, gone_at, reason)
    if record.grace_until is not None and record.grace_until <= at:
        # Who looks at the clock looks first whether it is back.
        record = record._replace(grace_until=None, connected=None)
        record = _move(record, Event.ABSENT, at, NOT_BACK)
    if record.announced_at is not None and record.announced_at + ABSENCE_MS <= at:
        record = record._replace(announced_at=None)
        if record.state is State.UPDATING:
            back = record.connected is True
            event, why = (Event.SAID_ONLINE, "") if back else (Event.ABSENT, NOT_UPDATED)
            record = _move(record, event, at, why)
    if (
        record.state is State.ONLINE
        and interval is not None
        and record.grace_until is None
        and record.heard_at + silence_ms(interval) <= at
    ):
        record = _move(record, Event.SILENCE, at, "")
    if record.flapping_at is not None and _calm_at(record) <= at:
        record = record._replace(flapping_at=None, changes=())
    return record


def due(record: Record, interval: int | None) -> int | None:
    """When ``tick`` changes something, if nothing else happens; ``None``: never."""
    times: list[int] = []
    if record.gone_at is not None:
        times.append(record.gone_at + HOLD_MS)
    if record.grace_until is not None:
        times.append(record.grace_until)
    elif record.state is State.ONLINE and interval is not None:
        times.append(record.heard_at + silence_ms(interval))
    if record.announced_at is not None:
        times.append(record.announced_at + ABSENCE_MS)
    if record.flapping_at is not None:
        times.append(_calm_at(record))
    return min(times, default=None)


# ---------------------------------------------------------------------- inside


def _late(record: Record, at: int) -> bool:
    """Whether it was sent before the session ended, and is only stored now."""
    return record.connected is False and at <= record.session_at + LAG_MS


def _there(record: Record) -> Record:
    return record._replace(gone_at=None, gone_reason="", grace_until=None)


def _away(record: Record, at: int, reason: str) -> Record:
    """An absence that counts when it lasts. One that was announced, or that a restart explains,
    has a time of its own."""
    if record.state in (State.UPDATING, State.OFFLINE) or record.grace_until is not None:
        return record
    if record.gone_at is not None:  # a will after the end of its session
        return record
    return record._replace(gone_at=at, gone_reason=reason)


def _move(record: Record, event: Event, at: int, reason: str) -> Record:
    before = record.state
    after = TABLE[before].get(event, before)
    if after is before:
        return record
    record = record._replace(state=after, since=at, reason=reason)
    if State.NEVER_SEEN is before or (before is _F) == (after is _F):
        return record
    changes = (*record.changes, at)[-CHANGES_MAX:]
    flaps = len(changes) == CHANGES_MAX and changes[-1] - changes[0] <= CHANGES_MS
    begun = record.flapping_at if record.flapping_at is not None else (at if flaps else None)
    return record._replace(changes=changes, flapping_at=begun)


def _calm_at(record: Record) -> int:
    newest = record.changes[-1] if record.changes else (record.flapping_at or 0)
    return newest + CALM_MS
