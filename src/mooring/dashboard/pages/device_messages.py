"""Messages of a device: raw and decoded, both times, and what is missing."""

from __future__ import annotations

import json
from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.page import Action, Page
from mooring.errors import MooringError
from mooring.sequences import store as gap_store
from mooring.sequences.numbers import gaps
from mooring.telemetry.service import Telemetry
from mooring.telemetry.when import parse_when

__all__ = ["ACTIONS", "PAGES"]

PAGE_SIZE, REJECTED, GAPS = 25, 10, 20
PAYLOAD_MAX, VALUES_MAX = 4_000, 40


def view(call: Call) -> dict[str, Any]:
    """The newest first."""
    found = opened(call)
    device = found.device
    telemetry = call.service(Telemetry)
    channels = [] if found.dialect is None else [one.name for one in found.dialect.channels]
    channel = call.query.choice("channel", channels) or None
    wrong, end = "", None
    try:
        end = parse_when(call.query.text("until"), call.now) if call.query.text("until") else None
    except MooringError as exc:
        wrong = f"{exc.message} {exc.hint}"
    ts, number = call.query.number("ts", -1), call.query.number("id", -1)
    messages = telemetry.history(
        call.who,
        device,
        end=end,
        channel=channel,
        limit=PAGE_SIZE,
        cursor=(ts, number) if ts >= 0 and number >= 0 else None,
        newest_first=True,
    )
    following = messages.next
    with call.app.database.read() as connection:
        numbers = gap_store.numbers_of(connection, device.id)
    missing = gaps(numbers.numbers) if numbers is not None else []
    return {
        **frame(found, "messages"),
        "channels": channels,
        "channel": channel or "",
        "until": call.query.text("until"),
        "wrong": wrong,
        "messages": [(one, _raw(one.payload), _values(one.values)) for one in messages.items],
        "next_page": call.query.with_(ts=following[0], id=following[1]) if following else "",
        "numbers": numbers,
        "missing": missing[:GAPS],
        "more_missing": max(0, len(missing) - GAPS),
        "rejected": telemetry.dead_letters(call.who, limit=REJECTED, device=device).items,
    }


def _raw(payload: Any) -> str:
    """As it was sent, shortened: a payload may have a megabyte."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    if len(text) <= PAYLOAD_MAX:
        return text
    return f"{text[:PAYLOAD_MAX]}… ({len(text):,} characters)"


def _values(values: dict[str, Any]) -> tuple[list[tuple[str, Any]], int]:
    return list(values.items())[:VALUES_MAX], max(0, len(values) - VALUES_MAX)


PAGE = Page("/devices/{device}/messages", "Messages", view, "device/messages", place="/devices")
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
