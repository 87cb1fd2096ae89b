"""What sources find becomes alerts: the one place where alerts are raised and cleared, within
the caller's transaction.

Ingest (alerts of devices), the evaluation of rules and the platform's own checks call ``apply``.
A device that raises thousands of alerts, or one again and again, costs a bounded number of rows:
its open ones, and those that are kept of it. What is over a bound is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from mooring.alerts import store
from mooring.alerts.model import (
    HISTORY_MAX,
    REOPEN_MS,
    Bounds,
    Clear,
    Event,
    Note,
    Raise,
    Severity,
    Source,
    State,
)
from mooring.alerts.states import follow
from mooring.alerts.store import Row
from mooring.notify import outbox
from mooring.notify.outbox import Changed
from mooring.store.tally import add_to_counter

__all__ = ["Change", "Happened", "apply", "record"]

Change = Raise | Clear | Note


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of one alert, as its history shows it."""

    alert: int
    event: Event
    at: int
    severity: Severity
    detail: str = ""
    actor: str = ""
    late: bool = False
    kept: bool = True  # in the history, which is bounded


@dataclass(slots=True)
class _Work:
    """Alerts of one call: as they are, and what happened to them."""

    rows: dict[str, Row]
    now: dict[str, Row] = field(default_factory=dict)  # the newest of each key
    events: list[tuple[Row, Event, int, str, bool, bool]] = field(default_factory=list)
    new: list[Row] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, event: Event, at: int, detail: str = "", *, late: bool = False) -> None:
        kept = row.entries < HISTORY_MAX
        row.entries += kept
        self.events.append((row, event, at, detail, late, kept))
        row.touched = True

    def notice(self, row: Row, event: Event, at: int) -> None:
        """A change that recipients may get and the history does not show."""
        self.events.append((row, event, at, "", False, False))
        row.touched = True


def apply(connection: Connection, changes: Sequence[Change], bounds: Bounds) -> list[Happened]:
    """Raises and clears alerts, in the order of the changes; what happened.

    Below the bounds, alerts are the same however the changes are cut into calls.
    """
    if not changes:
        return []
    keys = sorted({change.key for change in changes if change.key is not None})
    rows = store.newest(connection, keys, min(change.at for change in changes) - REOPEN_MS)
    every = {c.device_id for c in changes if isinstance(c, Clear) and c.key is None}
    for row in store.open_of_devices(connection, every, Source.DEVICE):
        rows.setdefault(row.key, row)
    work = _Work(rows, dict(rows))
    room = _Room(connection, bounds, {c.device_id for c in changes if isinstance(c, Raise)})
    for change in changes:
        match change:
            case Raise():
                _raise(work, change, room)
            case Clear(key=None):
                for row in list(work.now.values()):
                    if row.device_id == change.device_id and row.source is Source.DEVICE:
                        _clear(work, row, change, room)
            case Clear():
                known = work.now.get(change.key or "")
                if known is not None:
                    _clear(work, known, change, room)
            case Note():
                known = work.now.get(change.key)
                if known is not None and known.state is not State.CLEARED:
                    work.add(known, Event.LATE, change.at, change.detail, late=True)
    store.update(connection, [row for row in rows.values() if row.touched])
    store.insert(connection, work.new)
    room.trim()
    happened = [
        Happened(row.id, event, at, row.severity, detail, late=late, kept=kept)
        for row, event, at, detail, late, kept in work.events
        if row.id
    ]
    record(connection, happened)
    for name, number in sorted(work.counts.items()):
        add_to_counter(connection, name, number)
    return happened


def record(connection: Connection, happened: Sequence[Happened]) -> None:
    """Writes what happened into the history of the alerts, and into the outbox of those who are
    notified of it, in the same transaction."""
    store.add_history(
        connection,
        [
            (h.alert, h.at, str(h.event), h.actor, h.severity, h.detail, h.late)
            for h in happened
            if h.kept
        ],
    )
    outbox.queue(
        connection,
        [
            Changed(h.alert, h.at, h.event is Event.CLEARED, h.event is Event.SNOOZED)
            for h in happened
            if h.event in _TOLD
        ],
    )


_TOLD = frozenset(
    {
        Event.RAISED,
        Event.REPEATED,  # a late alert that is true now
        Event.STEPPED_UP,
        Event.STEPPED_DOWN,
        Event.REOPENED,
        Event.CLEARED,
        Event.SEVERITY,
        Event.SNOOZED,
    }
)
"""Events of which somebody may be notified."""


def _raise(work: _Work, change: Raise, room: _Room) -> None:
    row = work.now.get(change.key)
    if row is not None and row.state is not State.CLEARED:
        event = Event.REPEATED
        if change.severity != row.severity and change.source is not Source.DEVICE:
            up = change.severity > row.severity
            event = Event.STEPPED_UP if up else Event.STEPPED_DOWN
        elif change.severity > row.severity:
            event = Event.STEPPED_UP
        row.state = follow(row.state, event) or row.state
        was_late = row.late
        _say(row, change, keep=event is Event.REPEATED)
        if event is Event.REPEATED:
            row.touched = True
            if was_late and not row.late:
                work.notice(row, event, change.at)
        else:
            work.add(row, event, change.at, change.message, late=change.late)
        return
    again = (
        row is not None
        and not row.cleared_by
        and row.cleared_at is not None
        and change.at - row.cleared_at <= REOPEN_MS
    )
    if not room.has(change.tenant, change.device_id):
        work.counts["alerts_not_raised"] += 1
        return
    work.counts["alerts_raised"] += 1
    work.counts["alerts_late"] += change.late
    if row is not None and again:
        row.state, row.cleared_at = follow(row.state, Event.REOPENED) or row.state, None
        _say(row, change, keep=False)
        work.add(row, Event.REOPENED, change.at, change.message, late=change.late)
        return
    row = Row.of(change)
    work.now[change.key] = row
    work.new.append(row)
    work.add(row, Event.RAISED, change.at, change.message, late=change.late)


def _say(row: Row, change: Raise, *, keep: bool) -> None:
    """The newest word of its source."""
    if not keep:
        row.severity = change.severity
    row.message, row.value, row.late = change.message, change.value, row.late and change.late
    row.updated_at, row.count = max(row.updated_at, change.at), row.count + 1


def _clear(work: _Work, row: Row, change: Clear, room: _Room) -> None:
    after = follow(row.state, Event.CLEARED)
    if after is None:
        return
    row.state, row.cleared_at, row.cleared_by = after, change.at, ""
    row.updated_at = max(row.updated_at, change.at)
    room.free(row.tenant, row.device_id)
    work.counts["alerts_cleared"] += 1
    work.add(row, Event.CLEARED, change.at, change.detail, late=change.late)


class _Room:
    """How many more alerts a device and a tenant may have. Counted when the first one is raised,
    for every device that raises one in this call."""

    def __init__(
        self, connection: Connection, bounds: Bounds, devices: Collection[int | None]
    ) -> None:
        self._connection, self._bounds = connection, bounds
        self._known: dict[int, tuple[int, int]] | None = None
        self._raising = [number for number in devices if number is not None]
        self._devices: dict[int, _Numbers] = {}
        self._tenants: dict[str | None, int] = {}
        self._freed: Counter[int | None] = Counter()
        self._freed_of: Counter[str | None] = Counter()

    def has(self, tenant: str | None, device: int | None) -> bool:
        """Takes a place; whether there was one."""
        bounds = self._bounds
        mine = None if device is None else self._numbers(device)
        if mine is not None and (
            mine.open >= bounds.open_per_device or mine.new > bounds.kept_per_device
        ):
            return False
        if tenant not in self._tenants:
            found = store.open_of_tenant(self._connection, tenant, bounds.open_per_tenant)
            self._tenants[tenant] = found - self._freed_of[tenant]
        if self._tenants[tenant] >= bounds.open_per_tenant:
            return False
        self._tenants[tenant] += 1
        if mine is not None:
            mine.open += 1
            mine.new += 1
        return True

    def free(self, tenant: str | None, device: int | None) -> None:
        """One is cleared."""
        if device in self._devices:
            self._devices[device].open -= 1
        self._freed[device] += 1
        if tenant in self._tenants:
            self._tenants[tenant] -= 1
        self._freed_of[tenant] += 1

    def trim(self) -> None:
        """Deletes the oldest cleared alerts of devices that have too many."""
        most = self._bounds.kept_per_device
        for device, mine in self._devices.items():
            cleared = mine.kept + self._freed[device]
            if cleared > most:
                store.delete_cleared(self._connection, device, cleared - most)

    def _numbers(self, device: int) -> _Numbers:
        found = self._devices.get(device)
        if found is None:
            if self._known is None:
                self._known = store.numbers_of(self._connection, self._raising)
            opened, total = self._known.get(device, (0, 0))
            found = _Numbers(opened - self._freed[device], total - opened)
            self._devices[device] = found
        return found


@dataclass(slots=True)
class _Numbers:
    """Alerts of one device: open, cleared before this call, raised in it."""

    open: int
    kept: int
    new: int = 0
