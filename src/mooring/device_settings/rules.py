"""The state of a device's settings: every state, every event, and what follows. Pure.

docs/explanation/device-settings.md shows ``TRANSITIONS``, and a test compares both. No state
claims what is not known: only a report of the device makes its settings *in sync*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = [
    "NO_RECORD",
    "REFUSALS_MAX",
    "TRANSITIONS",
    "Event",
    "Record",
    "Report",
    "State",
    "changed",
    "follow",
    "label",
    "reported",
    "resent",
    "taken",
]

REFUSALS_MAX = 5
"""After this many refusals of one version the platform stops sending it."""


class State(StrEnum):
    """Where the newest version of a device's settings is."""

    NONE = "none"  # the device has never had settings
    PENDING = "pending"  # the broker does not have this version yet
    SENT = "sent"  # the broker has it; the device has not reported it
    IN_SYNC = "in_sync"  # the device has reported this version
    REFUSED = "refused"  # the device has reported that it does not apply this version
    STOPPED = "stopped"  # refused too often; it is not sent any more


class Event(StrEnum):
    """What happens to them."""

    CHANGE = "change"  # the merged document is another one: the next version
    TAKEN = "taken"  # the broker has taken this version
    APPLIED = "applied"  # the device reports this version
    REFUSE = "refuse"  # the device reports that it refuses this version
    EXHAUST = "exhaust"  # the same, for the last time
    RESEND = "resend"  # a person sends this version again


_KNOWN = (State.PENDING, State.SENT, State.IN_SYNC, State.REFUSED, State.STOPPED)

TRANSITIONS: dict[tuple[State, Event], State] = {
    **{(state, Event.CHANGE): State.PENDING for state in State},
    (State.PENDING, Event.TAKEN): State.SENT,
    **{(state, Event.APPLIED): State.IN_SYNC for state in _KNOWN},
    **{(state, Event.REFUSE): State.REFUSED for state in _KNOWN if state is not State.STOPPED},
    **{(state, Event.EXHAUST): State.STOPPED for state in _KNOWN},
    **{(state, Event.RESEND): State.PENDING for state in _KNOWN},
}
"""Pairs that are not here change nothing."""


def follow(state: State, event: Event) -> State:
    """The state after an event; the same one where nothing changes."""
    return TRANSITIONS.get((state, event), state)


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one device's settings.

    Attributes:
        version: of the newest merged document; 0: it has never had one.
        refusals: how often the device has refused this version.
        words: the reason that the device gave for its last refusal.
        reported_version: the newest version that the device reported or refused.
        reported_seq: the number of that message, where the firmware counts.
        reported_at: when its last report arrived, epoch milliseconds.
        reported: the document that it reported last, as JSON; ``None`` where it reported none.
        too_large: the bytes of that document, where it was too large to be kept; 0 otherwise.
    """

    version: int = 0
    state: State = State.NONE
    refusals: int = 0
    words: str = ""
    reported_version: int | None = None
    reported_seq: int | None = None
    reported_at: int | None = None
    reported: str | None = None
    too_large: int = 0


NO_RECORD = Record()


@dataclass(frozen=True, slots=True)
class Report:
    """What a device reports about its settings in one message.

    Attributes:
        version: the version it speaks of; ``None``: it names none.
        ok: whether it applied that version.
        words: why not.
        document: the settings it runs with, as JSON; ``None``: it does not say.
        too_large: the bytes of the document, where it is too large to be kept.
        at: when it arrived, epoch milliseconds.
    """

    version: int | None
    ok: bool
    at: int
    seq: int | None = None
    words: str = ""
    document: str | None = None
    too_large: int = 0


def changed(record: Record) -> Record:
    """With the next version, which nobody has refused yet."""
    return replace(
        record,
        version=record.version + 1,
        state=follow(record.state, Event.CHANGE),
        refusals=0,
        words="",
    )


def taken(record: Record, version: int) -> Record:
    """After the broker has taken a version."""
    if version != record.version:
        return record
    return replace(record, state=follow(record.state, Event.TAKEN))


def resent(record: Record) -> Record:
    """A person wants this version sent again: the refusals are counted from the beginning."""
    state = follow(record.state, Event.RESEND)
    if state is record.state and state is not State.PENDING:
        return record
    return replace(record, state=state, refusals=0, words="")


def reported(record: Record, report: Report) -> Record:
    """After a report. What is older than the last one changes nothing: an older version, or an
    earlier message about the same one. A report about a version that the platform never made
    says only what the device runs with."""
    known = report.version is not None and 0 < report.version <= record.version
    if known and _is_old(record, report):
        return record
    after = replace(
        record,
        reported_at=report.at,
        reported=report.document if report.ok else record.reported,
        too_large=report.too_large if report.ok else record.too_large,
    )
    if not known:
        return after if report.ok else record
    after = replace(after, reported_version=report.version, reported_seq=report.seq)
    if report.version != record.version:
        return after
    if report.ok:
        return replace(after, state=follow(record.state, Event.APPLIED), refusals=0, words="")
    refusals = min(record.refusals + 1, REFUSALS_MAX)
    event = Event.EXHAUST if refusals >= REFUSALS_MAX else Event.REFUSE
    state = follow(record.state, event)
    return replace(after, state=state, refusals=refusals, words=report.words)


def _is_old(record: Record, report: Report) -> bool:
    last, seq = record.reported_version, record.reported_seq
    if last is None or report.version is None or report.version > last:
        return False
    if report.version < last:
        return True
    return seq is not None and report.seq is not None and report.seq <= seq


def label(state: State, *, reports: bool) -> str:
    """The state for people.

    Args:
        reports: whether the dialect has a channel on which devices report their settings.
    """
    match state:
        case State.NONE:
            return "no settings"
        case State.SENT:
            return "sent, not reported" if not reports else "sent, not reported yet"
        case State.IN_SYNC:
            return "in sync"
        case State.STOPPED:
            return f"stopped after {REFUSALS_MAX} refusals"
        case _:
            return str(state)
