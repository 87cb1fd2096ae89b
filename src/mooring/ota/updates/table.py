"""What may become of an update: one table, which docs/explanation/firmware.md shows. Pure.

Every other pair of state and event changes nothing: the event came too late, or was repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from mooring.ota.updates.model import INSTALL_BEGUN, NOT_BEGUN, OPEN, State

__all__ = ["TABLE", "Event", "rows"]


class Event(StrEnum):
    """What happens to an update."""

    TAKEN = "handed over"
    AGAIN = "offered again"
    DEFERRED = "later"
    DOWNLOADING = "downloading"
    BYTES = "bytes served"
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    INSTALLED = "installed"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    LEFT = "disconnected"
    FETCHED = "whole image served, and disconnected"
    CAME = "connected"
    BACK = "connected, and can say nothing more"
    NAMED = "new version named"
    OLD = "old version named"
    PROVED = "new version proved"
    DISPROVED = "old version proved"
    NOT_PROVED = "nothing proved"
    STALLED = "no byte in 3 attempts"
    TIME = "too late"
    LOOP = "second install without confirmation"
    CANCEL = "cancel"
    SUPERSEDE = "another release"
    WITHDRAW = "release withdrawn"
    REMOVE = "device removed"


_S, _E = State, Event

# What the device reports counts from whatever state it is in: a report may come before the
# platform has recorded that the offer was handed over.
_BEGINS = {
    _E.DOWNLOADING: _S.DOWNLOADING,
    _E.BYTES: _S.DOWNLOADING,
    _E.DEFERRED: _S.DEFERRED,
    _E.INSTALLING: _S.INSTALLING,
    _E.REBOOTING: _S.REBOOTING,
    _E.INSTALLED: _S.INSTALLED,
    _E.NAMED: _S.INSTALLED,
    _E.FAILED: _S.FAILED,
    _E.REJECTED: _S.REJECTED,
    _E.CANCELLED: _S.CANCELLED,
}
_ENDS_AT_ONCE = {
    _E.CANCEL: _S.CANCELLED,
    _E.WITHDRAW: _S.CANCELLED,
    _E.SUPERSEDE: _S.SUPERSEDED,
    _E.TIME: _S.TIMED_OUT,
}

TABLE: Mapping[tuple[State, Event], State] = {
    (_S.WAITING, _E.TAKEN): _S.OFFERED,
    **{(state, _E.AGAIN): _S.WAITING for state in (*sorted(NOT_BEGUN), _S.DOWNLOADING)},
    **{(state, event): to for state in sorted(NOT_BEGUN) for event, to in _BEGINS.items()},
    **{(state, event): to for state in sorted(NOT_BEGUN) for event, to in _ENDS_AT_ONCE.items()},
    **{(state, _E.LEFT): state for state in sorted(NOT_BEGUN)},
    **{(state, _E.CAME): state for state in sorted(NOT_BEGUN)},
    **{(_S.DOWNLOADING, event): to for event, to in _BEGINS.items()},
    (_S.DOWNLOADING, _E.LEFT): _S.DOWNLOADING,
    (_S.DOWNLOADING, _E.CAME): _S.DOWNLOADING,
    (_S.DOWNLOADING, _E.FETCHED): _S.INSTALLING,
    (_S.DOWNLOADING, _E.STALLED): _S.FAILED,
    # The device is asked, and has 10 minutes.
    (_S.DOWNLOADING, _E.CANCEL): _S.DOWNLOADING,
    (_S.DOWNLOADING, _E.WITHDRAW): _S.DOWNLOADING,
    (_S.INSTALLING, _E.INSTALLING): _S.INSTALLING,
    (_S.INSTALLING, _E.REBOOTING): _S.REBOOTING,
    (_S.INSTALLING, _E.LEFT): _S.REBOOTING,
    (_S.INSTALLING, _E.CAME): _S.REBOOTING,
    (_S.REBOOTING, _E.INSTALLING): _S.INSTALLING,
    (_S.REBOOTING, _E.REBOOTING): _S.REBOOTING,
    (_S.REBOOTING, _E.LEFT): _S.REBOOTING,
    (_S.REBOOTING, _E.CAME): _S.REBOOTING,
    (_S.REBOOTING, _E.BACK): _S.INSTALLED,
    (_S.INSTALLED, _E.LEFT): _S.INSTALLED,
    (_S.INSTALLED, _E.CAME): _S.INSTALLED,
    **{(state, _E.INSTALLED): _S.INSTALLED for state in sorted(INSTALL_BEGUN)},
    **{(state, _E.NAMED): _S.INSTALLED for state in sorted(INSTALL_BEGUN)},
    **{(state, _E.DOWNLOADING): _S.DOWNLOADING for state in sorted(INSTALL_BEGUN)},
    **{(state, _E.FAILED): _S.FAILED for state in sorted(INSTALL_BEGUN)},
    **{(state, _E.LOOP): _S.FAILED for state in sorted(INSTALL_BEGUN)},
    **{(state, _E.DISPROVED): _S.REVERTED for state in sorted(INSTALL_BEGUN)},
    (_S.INSTALLING, _E.REJECTED): _S.REJECTED,
    (_S.INSTALLING, _E.TIME): _S.TIMED_OUT,
    (_S.REBOOTING, _E.TIME): _S.TIMED_OUT,
    (_S.INSTALLED, _E.PROVED): _S.CONFIRMED,
    (_S.INSTALLED, _E.NOT_PROVED): _S.UNPROVED,
    (_S.CONFIRMED, _E.OLD): _S.REGRESSED,
    **{(state, _E.REMOVE): _S.GONE for state in sorted(OPEN)},
}


def rows() -> Iterator[tuple[State, tuple[Event, ...], State]]:
    """State, events and what follows, as the documentation shows them: by state in the order of
    ``State``."""
    for state in State:
        ends: dict[State, list[Event]] = {}
        for (before, event), to in TABLE.items():
            if before is state:
                ends.setdefault(to, []).append(event)
        for to in State:
            if to in ends:
                yield state, tuple(sorted(ends[to], key=list(Event).index)), to
