"""From the broker's log to who is connected: pure.

``Observer`` keeps which client id logged in as whom, because the broker names the username
only at the connect. It returns rows to store and what they mean for devices; it does not read
files or write tables.

A line about a client id counts for the username that connected with it last, which the broker
has checked, and for nobody when none did: a client id alone is a claim, and 2.1 writes it into
the log before it has looked at the password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mooring.broker.log import LogEvent, LogKind

__all__ = ["Connectivity", "EventRow", "Observations", "Observer", "apart"]

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
PENDING_MAX = 10_000  # connections remembered that have not logged in; the oldest go first
PENDING_MS = 120_000  # Mosquitto 2.0 closes one after 90 s
KEEPALIVE_MAX = 65_535  # seconds [MQTT-3.1.2.10]
CLAIM_MAX = 100  # characters of a client id that a rejected login claimed


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line worth keeping. ``at`` in epoch milliseconds; ``keepalive`` of a connect in seconds,
    0 where the device has none."""

    at: int
    event: str
    username: str | None
    client_id: str | None
    address: str | None
    detail: str
    keepalive: int | None = None


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

    ``restarted``: the broker came up; earlier connections are over, unless it reports them again.
    ``latest`` holds one entry a login: what is true at the end of these lines. ``refused`` is
    the number of lines that were not believed.
    """

    rows: list[EventRow] = field(default_factory=list)
    latest: dict[str, Connectivity] = field(default_factory=dict)
    restarted: bool = False
    refused: int = 0


def apart(seen: Observations) -> Iterator[Observations]:
    """Each row and each state alone."""
    for row in seen.rows:
        yield Observations(rows=[row])
    for username, state in seen.latest.items():
        yield Observations(latest={username: state})


@dataclass(frozen=True, slots=True)
class _Session:
    username: str | None
    address: str | None
    port: int | None


class Observer:
    """Folds log events, in the order of the log.

    Args:
        starts: how often the broker was started since this observer began; the log is not
            believed when it says so more often. By default it is believed.
    """

    def __init__(self, starts: Callable[[], int] | None = None) -> None:
        self._starts = starts
        self._runs = 0
        self._sessions: dict[str, _Session] = {}  # by client id
        self._open: dict[str, int] = {}  # username → its sessions
        self._pending: dict[tuple[str | None, int | None], int] = {}  # connection → when

    def observe(self, events: Iterable[LogEvent], now: int) -> Observations:
        """Args: events in order; now, epoch milliseconds, for lines without a time.

        The broker dates its lines by the machine's clock. A line from the future is dated by
        ``now``, which is not wrong when that clock is.
        """
        seen = Observations()
        for event in events:
            at = now if event.time is None else min(int(event.time.timestamp() * 1000), now)
            self._fold(seen, event, at)
        return seen

    def logged_in(self) -> set[tuple[str, int]]:
        """Address and port of every open session."""
        return {
            (session.address, session.port)
            for session in self._sessions.values()
            if session.address is not None and session.port is not None
        }

    def _fold(self, seen: Observations, event: LogEvent, at: int) -> None:
        kind, session = event.kind, self._session(event)
        address = event.address
        match kind:
            case LogKind.UNCLEAR:
                seen.refused += 1
            case LogKind.CONNECTION:
                self._came(event, at)
            case LogKind.RUNNING:
                if not self._started():
                    seen.refused += 1
                    return
                seen.restarted = True
                seen.latest.clear()
                self._sessions.clear()
                self._open.clear()
                self._pending.clear()
            case LogKind.CONNECTED if event.client_id is not None:
                self._pending.pop((event.address, event.port), None)
                session = self._connected(seen, event, event.client_id, at)
            case LogKind.DISCONNECTED | LogKind.REFUSED if session is not None:
                kind = LogKind.DISCONNECTED  # 2.1 says "not authorised" of sessions, too
                self._ended(seen, str(event.client_id), session, at)
            case LogKind.DISCONNECTED | LogKind.REFUSED:
                where = self._went(event, at)
                address = address or where
            case LogKind.TLS_FAILED if address is None:
                address = self._newest_pending(at)
        if kind not in _KEPT:
            return
        detail = event.reason or event.topic or ""
        if kind is LogKind.REFUSED and event.client_id is not None:
            detail += f"; its client id was {event.client_id[:CLAIM_MAX]!a}"
        if kind in {LogKind.RUNNING, LogKind.STOPPING} or (
            not detail and kind not in {LogKind.CONNECTED, LogKind.DISCONNECTED}
        ):
            detail = event.text
        seen.rows.append(
            EventRow(
                at,
                str(kind),
                session.username if session is not None else None,
                event.client_id if session is not None else None,
                address or (session.address if session is not None else None),
                detail,
                None if event.keep_alive is None else min(event.keep_alive, KEEPALIVE_MAX),
            )
        )

    # ------------------------------------------------------------------ sessions

    def _session(self, event: LogEvent) -> _Session | None:
        """The session a line is about; 2.1 names its connection, so another one's is none."""
        session = self._sessions.get(event.client_id) if event.client_id is not None else None
        if session is None or (event.port is not None and event.port != session.port):
            return None
        return session

    def _connected(self, seen: Observations, event: LogEvent, client_id: str, at: int) -> _Session:
        before = self._sessions.get(client_id)
        if before is not None and before.username != event.username:
            self._ended(seen, client_id, before, at)  # somebody else has its client id now
        elif before is not None:
            self._forget(client_id, before)
        if len(self._sessions) >= CLIENTS_MAX:
            oldest = next(iter(self._sessions))
            self._forget(oldest, self._sessions[oldest])
        session = _Session(event.username, event.address, event.port)
        self._sessions[client_id] = session
        if event.username is not None:
            self._open[event.username] = self._open.get(event.username, 0) + 1
            seen.latest[event.username] = Connectivity(event.username, True, at, event.address)
        return session

    def _ended(self, seen: Observations, client_id: str, session: _Session, at: int) -> None:
        self._forget(client_id, session)
        name = session.username
        if name is not None and name not in self._open:  # else it is there with another client id
            seen.latest[name] = Connectivity(name, False, at, session.address)

    def _forget(self, client_id: str, session: _Session) -> None:
        self._sessions.pop(client_id, None)
        name = session.username
        if name is None:
            return
        left = self._open.get(name, 0) - 1
        if left > 0:
            self._open[name] = left
        else:
            self._open.pop(name, None)

    def _started(self) -> bool:
        self._runs += 1
        return self._starts is None or self._runs <= self._starts()

    # ------------------------------------------------------------------ nobody yet

    def _came(self, event: LogEvent, at: int) -> None:
        """A connection that has not logged in. A rejection in 2.0 names neither it nor anybody."""
        if len(self._pending) >= PENDING_MAX:
            del self._pending[next(iter(self._pending))]
        self._pending[event.address, event.port] = at

    def _newest_pending(self, at: int) -> str | None:
        """Where a handshake most likely came from: its line in the log does not say."""
        if not self._pending:
            return None
        (address, port) = next(reversed(self._pending))
        return address if at - self._pending[address, port] <= PENDING_MS else None

    def _went(self, event: LogEvent, at: int) -> str | None:
        """Where the connection came from that ended without a login: most likely the last one."""
        if event.port is not None:
            self._pending.pop((event.address, event.port), None)
        elif self._pending:
            (address, _), came = self._pending.popitem()
            return address if at - came <= PENDING_MS else None
        return None
