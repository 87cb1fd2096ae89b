"""Messages: as they come, those that were rejected and why, and devices that nobody added."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from mooring.dashboard.answers import Shown
from mooring.dashboard.call import Call
from mooring.dashboard.data import newer, traffic
from mooring.dashboard.forms import Query, row_number
from mooring.dashboard.page import Action, Nav, Page
from mooring.errors import Invalid, MooringError
from mooring.ingest.resend.model import RESEND_MAX, Outcome
from mooring.ingest.resend.service import Resending
from mooring.store.engine import Database
from mooring.stream.model import KINDS, PRESENCE
from mooring.telemetry.model import DeadLetter
from mooring.telemetry.service import Telemetry

__all__ = ["ACTIONS", "PAGES", "payload_text"]

TABS = {"": "Live", "rejected": "Rejected", "unknown": "Unknown devices"}
RESEND = "/messages/resend"
LISTED = 50
SHOWN_BYTES = 200

REASONS = {
    "not_json": "The payload is not JSON.",
    "bad_json": "The payload is not valid JSON.",
    "unknown_topic": "No channel of a dialect has this topic.",
    "unknown_device": "The device was never added.",
}

OUTCOMES = {
    Outcome.STORED: ("ok", "Stored"),
    Outcome.DUPLICATE: ("off", "Stored already"),
    Outcome.REJECTED: ("bad", "Rejected again"),
    Outcome.NOT_FOUND: ("off", "Not found"),
}


def view(call: Call) -> dict[str, Any]:
    """One of the three lists."""
    tab = call.query.choice("tab", tuple(TABS))
    if call.url == RESEND:  # a form that failed, or its outcome
        tab = "rejected"
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
    query = Query(call.form.pairs) if call.url == RESEND else call.query
    reason = query.text("reason", max=32)
    after = call.query.number("after", 0)
    page = call.service(Telemetry).dead_letters(
        call.who, limit=LISTED, cursor=(after,) if after else None, reason=reason or None
    )
    rows = [(one, payload_text(one), _reason(one)) for one in page.items]
    following = call.query.with_(after=int(page.next[0])) if page.next else ""
    return {
        "letters": rows,
        "reason": reason,
        "following": following,
        "filtered": bool(reason),
        "newer": "" if after else newer.topic("rejected", [("reason", reason)]),
        "since": page.items[0].id if page.items else 0,
        "ticked": frozenset(call.form.many("number")),
        "resent": None,
    }


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


def resend(call: Call) -> Shown:
    """Reads the ticked dead letters again, one of them, or all that match; with the outcome of
    each."""
    form, resending = call.form, call.service(Resending)
    one, everyone = row_number(form.raw("one")), form.raw("which") == "all"
    if one is not None:
        found = resending.ids(call.who, [one])
    elif everyone:
        reason = form.text("reason", "Reason", max=32)
        after = form.number("from", "From", default=0, ge=0, le=2**53)
        form.check()
        found = resending.matching(call.who, reason=reason or None, after=after)
    else:
        ticked = [row_number(text) for text in form.many("number")]
        numbers = [number for number in ticked if number is not None][:RESEND_MAX]
        if not numbers:
            raise Invalid(
                "No message is ticked.", hint="Tick the messages first.", code="nothing_ticked"
            )
        found = resending.ids(call.who, numbers)
    words = {outcome: found.count(outcome) for outcome in Outcome}
    return Shown(
        {
            **view(call),
            "ticked": frozenset(),
            "resent": [(tried, *OUTCOMES[tried.outcome]) for tried in found.tried],
            "sums": [(OUTCOMES[one][1].lower(), number) for one, number in words.items() if number],
            "next_after": found.next_after,
        }
    )


def _reason(letter: DeadLetter) -> str:
    return letter.detail or REASONS.get(letter.reason, letter.reason.replace("_", " "))


def _device_address(tenant: str, name: str) -> str:
    return f"/devices/{quote(f'{tenant}:{name}', safe=':')}"


PAGE = Page("/messages", "Messages", view, "messages", nav=Nav("fleet", 40, "Messages", "m"))
PAGES = (PAGE,)
ACTIONS = (Action(RESEND, resend, PAGE),)
