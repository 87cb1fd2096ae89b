"""Where the values of each topic come from. Called in a thread, with the rights of the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring.alerts.service import Alerts
from mooring.alerts.store import Wanted
from mooring.dashboard.data import first_signs
from mooring.dashboard.live import newest, rollouts
from mooring.dashboard.live.ask import Ask, Source, number_of
from mooring.dashboard.nav import link_numbers
from mooring.errors import Invalid
from mooring.jobs.service import Jobs
from mooring.presence.states import store as presence_store
from mooring.presence.states.machine import shown
from mooring.store.engine import now_ms
from mooring.telemetry.service import Telemetry

__all__ = ["SOURCES", "Ask", "Source", "metric_values"]

ROWS_MAX = 100  # devices of one list
NEWEST = 50
#: Counter → its name in a page, whose rate is ``NAME_rate``.
RATED = {
    "messages_stored": "stored",
    "dead_letters": "rejected",
    "messages_duplicate": "duplicate",
}


def overview(ask: Ask) -> dict[str, Any]:
    """Figures of the fleet, and for those who see everything counters and their rates."""
    found = ask.app.service(Telemetry).overview(ask.actor)
    alerts = ask.app.service(Alerts).open_by_severity(ask.actor)
    connected = found.connected
    values: dict[str, Any] = {
        "devices": found.devices,
        "connected": connected,
        "not_connected": found.devices - connected,
        "unknown": found.strangers,
        "dead_letters": found.dead_letters,
        "alerts": sum(alerts.values()),
        "pending_changes": found.broker_changes_pending,
        "downlinks": found.downlinks_open,
    }
    seconds = (now_ms() - ask.before_at) / 1000
    for counter, name in RATED.items():
        if counter not in found.counters:
            continue
        now, before = found.counters[counter], ask.before.get(name)
        values[name] = now
        if before is not None and seconds > 0:
            # A counter that is smaller than before began again.
            values[f"{name}_rate"] = max(0, now - before) / seconds
    return values


def nav(ask: Ask) -> dict[str, Any]:
    """The numbers next to the links of the navigation, by their addresses."""
    return link_numbers(ask.app, ask.actor)


def metric_values(metrics: Mapping[str, Any], at: int) -> dict[str, Any]:
    """Values of metrics as a page's cells are named: ``temperature.value``, ``temperature.at``."""
    found: dict[str, Any] = {}
    for name, value in metrics.items():
        found[f"{name}.value"], found[f"{name}.at"] = value, at
    return found


def device(ask: Ask) -> dict[str, Any]:
    """State, last message and newest values of one device."""
    number = number_of(ask.argument)
    found = ask.app.service(Telemetry).latest_many(ask.actor, limit=1, among=[number])
    values = _rows(ask, [number]).get(number, {})
    for one in found:
        # The newest reading of a metric last: several channels may have it.
        for said in sorted(one.readings, key=lambda reading: reading.ts):
            values.update(metric_values(said.values, said.ts))
    return values


def rows(ask: Ask) -> dict[str, Any]:
    """State and last message of the devices of a list: ``17.state``, ``17.seen``."""
    numbers = [number_of(one) for one in ask.argument.split(",")]
    if len(numbers) > ROWS_MAX:
        raise Invalid(f"A list of {ROWS_MAX} devices can be watched.", code="invalid_topic")
    return {
        f"{number}.{name}": value
        for number, values in _rows(ask, numbers).items()
        for name, value in values.items()
    }


def _rows(ask: Ask, numbers: list[int]) -> dict[int, dict[str, Any]]:
    found = ask.app.service(Telemetry).latest_many(ask.actor, limit=len(numbers), among=numbers)
    with ask.app.database.read() as connection:
        records = presence_store.states_of(connection, [one.id for one in found])
    return {
        one.id: {
            "state": str(shown(records[one.id])) if one.id in records else "never_seen",
            "reason": records[one.id].reason if one.id in records else "",
            "seen": one.last_seen_at,
            "firmware": one.firmware or "",
        }
        for one in found
    }


def alerts(ask: Ask) -> dict[str, Any]:
    """How many are open, by severity, and the newest ones' numbers."""
    service = ask.app.service(Alerts)
    by_severity = service.open_by_severity(ask.actor)
    newest = service.listed(ask.actor, Wanted(limit=NEWEST))
    return {
        "open": sum(by_severity.values()),
        **{str(severity): number for severity, number in by_severity.items()},
        "ids": [one.id for one in newest],
    }


def job(ask: Ask) -> dict[str, Any]:
    """How far a job is."""
    found = ask.app.service(Jobs).get(ask.actor, number_of(ask.argument))
    counts = found.counts
    return {
        "state": str(found.state),
        "total": counts.total,
        "done": counts.succeeded + counts.skipped + counts.cancelled,
        "failed": counts.failed,
    }


def signs(ask: Ask) -> dict[str, Any]:
    """What was seen of the first device, or of anything, in sentences."""
    found = first_signs.of(ask.app, ask.actor, ask.argument, now_ms())
    return {"signs": [one._asdict() for one in found]}


def messages(_: Ask) -> dict[str, Any]:
    """Rows come from the stream; nothing is known before."""
    return {}


SOURCES: Mapping[str, Source] = {
    "overview": Source(overview),
    "nav": Source(nav, seconds=5),
    # Its changes come from the stream; what that lost is found again.
    "device": Source(device, seconds=30, device=True, argument=True),
    "rows": Source(rows, argument=True),
    "alerts": Source(alerts),
    "job": Source(job, argument=True),
    "signs": Source(signs, argument=True),
    "newest": Source(newest.newest, seconds=3, argument=True),
    "rollout": Source(rollouts.one, argument=True),
    "rollouts": Source(rollouts.listed, argument=True),
    "messages": Source(messages, seconds=600, fleet=True, argument=True),
}
