"""A device now: why it cannot connect, its last values, the last day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mooring.alerts.service import Alerts
from mooring.alerts.store import Wanted
from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.data.device import Opened, frame, opened
from mooring.dashboard.data.fleet import stale_after
from mooring.dashboard.data.sparks import first_span, sparks
from mooring.dashboard.drawings.presence import Span, presence_bar
from mooring.dashboard.page import Action, Page
from mooring.doctor.refusals import Code
from mooring.doctor.service import Diagnosis
from mooring.doctor.why import Verdict
from mooring.presence.states.service import DevicePresence
from mooring.presence.states.store import Changed
from mooring.telemetry.service import Telemetry

__all__ = ["ACTIONS", "PAGES", "spans"]

VALUES_MAX = 100
DAY_MS = 86_400_000
SPANS = {"15m": "15 minutes", "1h": "1 hour", "6h": "6 hours", "24h": "24 hours"}
_DRAWN = {
    "online": "connected",
    "updating": "silent",
    "silent": "silent",
    "flapping": "silent",
    "offline": "not-connected",
}


class Value(NamedTuple):
    """The last value of a metric."""

    metric: str
    value: object
    at: int
    old: bool
    channel: str


class Way(NamedTuple):
    """What to do about a verdict: a link, or with ``post`` a form's button."""

    word: str
    to: str
    post: bool = False


def view(call: Call) -> dict[str, Any]:
    """Verdict, values, presence, open alerts."""
    found = opened(call)
    device = found.device
    verdict = None
    if found.dialect is not None:
        verdict = call.service(Diagnosis).why(call.who, device.username).verdict
    values = _values(call, found)
    _, presence = call.service(DevicePresence).of(call.who, device.username)
    start = call.now - DAY_MS
    # A state that began before what is kept of the history is still that of the whole day.
    since = Changed(found.row.presence_since or start, presence.record.state, "")
    day = spans(presence.history or [since], start, call.now)
    alerts = call.service(Alerts).listed(call.who, Wanted(device_id=device.id, limit=20))
    return {
        **frame(found, ""),
        "verdict": verdict,
        "way": _way(call, found, verdict) if verdict is not None else None,
        "values": values[:VALUES_MAX],
        "hidden_values": max(0, len(values) - VALUES_MAX),
        "lines": _lines(call, found, values),
        "line_span": SPANS[first_span(call.now - device.created_at)],
        "bar": presence_bar(day, start, call.now, _said(day, start, call.now)),
        "presence": presence,
        "alerts": alerts,
        "attributes": {
            name: held.value
            for name, held in sorted(found.row.attributes.items())
            if name != "position"
        },
    }


def _values(call: Call, found: Opened) -> list[Value]:
    longest = stale_after(found.row.interval_ms)
    values: dict[str, Value] = {}
    for said in sorted(call.service(Telemetry).latest(call.who, found.device), key=_time):
        for metric, value in said.values.items():
            old = call.now - said.received_at > longest
            values[metric] = Value(metric, value, said.ts, old, said.channel)
    return sorted(values.values())


def _lines(call: Call, found: Opened, values: Sequence[Value]) -> dict[str, Any]:
    if found.dialect is None:
        return {}
    return sparks(call, found, [one.metric for one in values if not isinstance(one.value, str)])


def _time(said: Any) -> int:
    return int(said.ts)


def spans(history: Sequence[Changed], start: int, end: int) -> list[Span]:
    """States that lasted, the first one first.

    Args:
        history: changes, the newest first.
    """
    found, until = [], end
    for change in history:
        found.append(Span(_DRAWN.get(str(change.state), "unknown"), max(change.at, start), until))
        until = change.at
        if until <= start:
            break
    return found[::-1]


def _said(day: Sequence[Span], start: int, end: int) -> str:
    connected = sum(one.end - one.start for one in day if one.state == "connected")
    share = round(100 * connected / max(1, end - start))
    return f"Connected for {share} % of the last 24 hours, {len(day)} periods."


# Page of the device → verdicts that are looked at there.
_PAGES = {
    "credentials": ("Look at its topics and rights", (Code.DENIED_TOPIC,)),
    "messages": ("Look at its messages", (Code.UNDECODABLE, Code.OVERSIZE)),
    "connection": (
        "Look at its connections",
        (Code.LIMITED, Code.TAKEOVER_LOOP, Code.DISCONNECTED, Code.CHANGE_PENDING),
    ),
}
_BROKER = (Code.BROKER_DOWN, Code.ACCOUNTS_UNREADABLE)


def _way(call: Call, found: Opened, verdict: Verdict) -> Way | None:
    """What to do next; nothing that the person may not do."""
    href, operator, code = found.href, call.may("operator"), verdict.code
    if code is Code.WELL or (code in _BROKER and not call.may("viewer", whole=True)):
        return None
    if code in _BROKER:
        return Way("Look at the broker", "/broker")
    if code is Code.DISABLED and operator:
        return Way("Enable the device", f"{href}/enable", post=True)
    if code is Code.SILENT and operator:
        return Way("Send a command", f"{href}/commands")
    for tab, (word, codes) in _PAGES.items():
        if code in codes:
            return Way(word, f"{href}/{tab}")
    return Way("Look at its credentials", f"{href}/credentials")


def switch(call: Call) -> Redirect:
    """Enables or disables the device."""
    device = call.app.devices.get(call.who, call.path["device"])
    enabled = call.url.endswith("/enable")
    if not enabled:
        call.form.confirmed("confirm", device.name)
    reason = call.form.text("reason", "Reason")
    call.form.check()
    _, changes = call.app.devices.set_enabled(
        call.who, device.username, enabled=enabled, reason=reason
    )
    word = "enabled" if enabled else "disabled"
    return call.redirect(call.url.rpartition("/")[0], call.stored(f"{device.name} {word}", changes))


PAGE = Page("/devices/{device}", "Device", view, "device/now", place="/devices")
PAGES = (PAGE,)
ACTIONS = (Action("/devices/{device}/enable", switch, PAGE),)
