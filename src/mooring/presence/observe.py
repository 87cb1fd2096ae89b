"""From the broker's log to who is connected: pure.

``Observer`` keeps which client id logged in as whom, because the broker names the username
only at the connect. It returns rows to store and what they mean for devices; it does not read
files or write tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mooring.broker.log import LogEvent, LogKind

__all__ = ["Connectivity", "EventRow", "Observations", "Observer"]

_KEPT = {
    LogKind.CONNECTED,
    LogKind.DISCONNECTED,
    LogKind.TAKEN_OVER,
    LogKind.REFUSED,
    LogKind.DENIED_PUBLISH,
    LogKind.DENIED_SUBSCRIBE,
    LogKind.DROPPING,
    LogKind.TOO_MANY_CLIENTS,
    LogKind.TLS_FAILED,
    LogKind.RUNNING,
    LogKind.STOPPING,
}
CLIENTS_MAX = 200_000  # client ids remembered; the oldest go first


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line worth keeping. ``at`` in epoch milliseconds."""

    at: int
    event: str
    username: str | None
    client_id: str | None
    address: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Connectivity:
    """What is now true of one login."""

    username: str
    connected: bool
    at: int
    address: str | None


@dataclass(slots=True)
class Observations:
    """What some lines of log said.

    ``restarted``: the broker came up; whoever was connected is not, unless it says so after.
    ``latest`` holds one entry a login: what is true at the end of these lines.
    """

    rows: list[EventRow] = field(default_factory=list)
    latest: dict[str, Connectivity] = field(default_factory=dict)
    restarted: bool = False


class Observer:
    """Folds log events, in the order of the log."""

    def __init__(self) -> None:
        self._usernames: dict[str, tuple[str | None, str | None]] = {}
        self._last_address: str | None = None

    def observe(self, events: Iterable[LogEvent], now: int) -> Observations:
        """Args: events in order; now, epoch milliseconds, for lines without a time."""
        seen = Observations()
        for event in events:
            at = int(event.time.timestamp() * 1000) if event.time is not None else now
            self._fold(seen, event, at)
        return seen

    def _fold(self, seen: Observations, event: LogEvent, at: int) -> None:
        username, address = event.username, event.address
        match event.kind:
            case LogKind.CONNECTION:
                # A refusal in 2.0 names nobody; the connection just before it is the one.
                self._last_address = event.address
            case LogKind.RUNNING:
                seen.restarted = True
                seen.latest.clear()
                self._usernames.clear()
            case LogKind.CONNECTED if event.client_id is not None:
                if len(self._usernames) >= CLIENTS_MAX:
                    del self._usernames[next(iter(self._usernames))]
                self._usernames[event.client_id] = (event.username, event.address)
                if event.username is not None:
                    seen.latest[event.username] = Connectivity(
                        event.username, True, at, event.address
                    )
            case LogKind.DISCONNECTED if event.client_id is not None:
                known = self._usernames.pop(event.client_id, (None, None))
                username, address = known[0], address or known[1]
                if username is not None:
                    seen.latest[username] = Connectivity(username, False, at, address)
            case LogKind.REFUSED:
                address = address or self._last_address
            case _ if event.client_id is not None:
                known = self._usernames.get(event.client_id, (None, None))
                username, address = username or known[0], address or known[1]
        if event.kind in _KEPT:
            detail = event.reason or event.topic or ""
            if not detail and event.kind not in {LogKind.CONNECTED, LogKind.DISCONNECTED}:
                detail = event.text
            seen.rows.append(
                EventRow(at, str(event.kind), username, event.client_id, address, detail)
            )
