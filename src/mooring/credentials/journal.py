"""Current sessions, from the broker's log. Pure: events in, answers out.

The log is the one clock that counts here: an event is before or after another by its number,
never by a time. A *mark* is a connection of our own with a name made up for it. Everything
the broker did before it is before it in the log.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MARK", "Event", "Journal"]

MARK = "mooring-mark-"
REFUSALS_MAX = 20_000  # remembered; the oldest half goes first

_ENDS = {"disconnected", "taken_over"}


@dataclass(frozen=True, slots=True)
class Event:
    """One row of ``broker_events``; ``id`` grows with the log."""

    id: int
    event: str
    username: str | None = None
    client_id: str | None = None
    address: str | None = None
    at: int = 0  # epoch milliseconds; the log has whole seconds


class Journal:
    """Folds events in the order of their numbers."""

    def __init__(self, service: str) -> None:
        self.last = 0
        self._service = service  # only our own account makes marks
        self._came: dict[str, int] = {}  # username → its newest connect
        self._came_at: dict[str, int] = {}
        self._went: dict[str, int] = {}  # username → the newest end of a session
        self._started = 0  # the broker's newest start: every session before it is over
        self._refused: list[tuple[int, str | None]] = []
        self._marks: dict[str, int] = {}

    def fold(self, events: Iterable[Event]) -> set[str]:
        """Takes in what is new; the usernames that connected."""
        came: set[str] = set()
        for event in events:
            self.last = max(self.last, event.id)
            match event.event:
                case "connected" if event.username is not None:
                    self._connected(event, event.username)
                    came.add(event.username)
                case "refused":
                    self._refused.append((event.id, event.address))
                    if len(self._refused) > REFUSALS_MAX:
                        del self._refused[: REFUSALS_MAX // 2]
                case "running":
                    self._started = event.id
                case word if word in _ENDS:
                    # A client id alone names nobody: everyone may choose it.
                    if event.username is not None:
                        self._went[event.username] = event.id
        return came

    def mark(self, token: str) -> int | None:
        """The number of a mark, when it has been seen."""
        return self._marks.get(token)

    def in_session(self, username: str, since: int) -> bool:
        """Whether it connected after event ``since`` and has stayed until the newest event."""
        came = self._came.get(username, 0)
        return came > since and came > self._went.get(username, 0) and came > self._started

    def came_at(self, username: str) -> int:
        """When it connected last, as the log has it; 0: not since we read."""
        return self._came_at.get(username, 0)

    def came_after(self, username: str, event: int) -> bool:
        return self._came.get(username, 0) > event

    def went_after(self, username: str, event: int) -> bool:
        """Whether a session of it has ended since."""
        return max(self._went.get(username, 0), self._started) > event

    def refusals(self, after: int, address: str | None = None) -> int:
        """Rejected logins since event ``after``; only those from ``address`` where given."""
        start = bisect_right(self._refused, after, key=lambda refused: refused[0])
        if address is None:
            return len(self._refused) - start
        return sum(1 for _, where in self._refused[start:] if where == address)

    def _connected(self, event: Event, username: str) -> None:
        client = event.client_id or ""
        if client.startswith(MARK):
            if username == self._service:
                self._marks[client.removeprefix(MARK)] = event.id
                if len(self._marks) > 1000:
                    del self._marks[next(iter(self._marks))]
            return
        self._came[username] = event.id
        self._came_at[username] = event.at
