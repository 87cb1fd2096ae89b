"""Messages: as they come, those that were rejected and why, and devices that nobody added."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from mooring.dashboard.call import Call
from mooring.dashboard.data import traffic
from mooring.dashboard.page import Action, Nav, Page
from mooring.errors import MooringError
from mooring.store.engine import Database
from mooring.stream.model import KINDS, PRESENCE
from mooring.telemetry.model import DeadLetter
from mooring.telemetry.service import Telemetry

__all__ = ["ACTIONS", "PAGES", "payload_text"]

TABS = {"": "Live", "rejected": "Rejected", "unknown": "Unknown devices"}
LISTED = 50
SHOWN_BYTES = 200

REASONS = {
    "not_json": "The payload is not JSON.",
    "bad_json": "The payload is not valid JSON.",
    "unknown_topic": "No channel of a dialect has this topic.",
    "unknown_device": "The device was never added.",
}


def view(call: Call) -> dict[str, Any]:
    """One of the three lists."""
    tab = call.query.choice("tab", tuple(TABS))
    found = {"": _live, "rejected": _rejected, "unknown": _unknown}[tab](call)
    return {"tab": tab, "tabs": TABS, **found}


def _live(call: Call) -> dict[str, Any]:
    kind = call.query.choice("kind", sorted(KINDS - {PRESENCE}))
    given = call.query.text("device")
    device, wrong = None, ""
    if given:
        try:
            device = call.app.devices.get(call.who, given)
        except MooringError as exc:
            wrong = f"{exc.message} {exc.hint}".strip()
    lines = []
    if not wrong:
        database: Database = call.app.database
        with database.read() as connection:
            lines = traffic.newest(
                connection,
                call.who,
                device_id=None if device is None else device.id,
                kind=kind,
                limit=LISTED,
            )
    pairs = {"device": device.name if device else "", "kind": kind}
    argument = "&".join(f"{name}={value}" for name, value in pairs.items() if value)
    # A topic ends at a space; a name that has one is not watched, the list is shown all the same.
    topic = "" if wrong or " " in argument else f"messages:{argument}".rstrip(":")
    return {
        "lines": [(one, _device_address(one.tenant, one.device)) for one in lines],
        "kinds": sorted(KINDS - {PRESENCE}),
        "kind": kind,
        "device": given,
        "wrong": wrong,
        "topic": topic,
    }


def _rejected(call: Call) -> dict[str, Any]:
    reason = call.query.text("reason", max=32)
    after = call.query.number("after", 0)
    page = call.service(Telemetry).dead_letters(
        call.who, limit=LISTED, cursor=(after,) if after else None, reason=reason or None
    )
    rows = [(one, payload_text(one), _reason(one)) for one in page.items]
    following = call.query.with_(after=int(page.next[0])) if page.next else ""
    return {"letters": rows, "reason": reason, "following": following, "filtered": bool(reason)}


def _unknown(call: Call) -> dict[str, Any]:
    page = call.service(Telemetry).strangers(call.who, limit=200)
    return {
        "unknown": [
            (one, urlencode({"name": one.name, "dialect": one.dialect, "tenant": one.tenant}))
            for one in page.items
        ],
        "more_unknown": page.next is not None,
    }


def payload_text(letter: DeadLetter) -> str:
    """The first bytes as text; bytes that are not UTF-8 by their numbers."""
    cut = letter.payload[:SHOWN_BYTES]
    text = cut.decode("utf-8", "backslashreplace")
    return f"{text}…" if letter.size > len(cut) else text


def _reason(letter: DeadLetter) -> str:
    return letter.detail or REASONS.get(letter.reason, letter.reason.replace("_", " "))


def _device_address(tenant: str, name: str) -> str:
    return f"/devices/{quote(f'{tenant}:{name}', safe=':')}"


PAGE = Page("/messages", "Messages", view, "messages", nav=Nav("fleet", 40, "Messages", "m"))
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
