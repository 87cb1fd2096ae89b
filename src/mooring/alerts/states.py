"""The states of an alert: pure, one table, which docs/explanation/rules.md shows.

Only what is in the table changes a state. An alert that is cleared stays so; what its source
finds later is another alert, unless it finds it again within ``REOPEN_MS``.
"""

from __future__ import annotations

from collections.abc import Mapping

from mooring.alerts.model import Event, State

__all__ = ["TABLE", "follow"]

_R, _A, _C = State.RAISED, State.ACKNOWLEDGED, State.CLEARED

TABLE: Mapping[State, Mapping[Event, State]] = {
    _R: {
        Event.REPEATED: _R,
        Event.STEPPED_UP: _R,
        Event.STEPPED_DOWN: _R,
        Event.ACKNOWLEDGED: _A,
        Event.CLEARED: _C,
    },
    _A: {
        Event.REPEATED: _A,
        Event.STEPPED_UP: _R,  # what was acknowledged was not so bad
        Event.STEPPED_DOWN: _A,
        Event.CLEARED: _C,
    },
    _C: {Event.REOPENED: _R},
}


def follow(state: State, event: Event) -> State | None:
    """The state after an event; ``None``: it has no effect in this state."""
    return TABLE[state].get(event)
