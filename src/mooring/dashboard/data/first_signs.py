"""What the platform has seen in the last minutes, in words: for the first device. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.app import App
from mooring.broker.log import LogKind
from mooring.dashboard.data.attention import DEAD, why
from mooring.dashboard.data.traffic import newest_after
from mooring.dashboard.data.trouble import counted
from mooring.dashboard.words import number, short
from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.errors import Conflict, NotFound
from mooring.identity.actor import Actor, walled
from mooring.store.schema import broker_events, dead_letters, devices, messages, strangers

__all__ = ["Sign", "of", "payload_words"]

SPAN_MS = 15 * 60_000
LOOK = 500
"""Newest events, messages and dead letters that are looked through."""
SHOWN = 12
VALUES_SHOWN = 4
ENVELOPE = frozenset({"deviceid", "time", "timestamp", "ts", "seq"})
"""What many dialects put around their values, without ``_``."""

_KINDS = (
    LogKind.CONNECTED,
    LogKind.REFUSED,
    LogKind.TLS_FAILED,
    LogKind.DENIED_PUBLISH,
    LogKind.DENIED_SUBSCRIBE,
)


class Sign(NamedTuple):
    """One sentence. ``state``: ``ok``, ``warn`` or ``bad``; ``at``: epoch milliseconds."""

    at: int
    state: str
    word: str
    text: str
    device: str = ""


def of(app: App, who: Actor, reference: str, now: int) -> list[Sign]:
    """Newest first; of one device where ``reference`` names one, with what no device is known for.

    Args:
        now: epoch milliseconds.
    """
    device: Device | None = None
    if reference:
        try:
            device = app.service(Devices).get(who, reference)
        except (NotFound, Conflict):  # removed meanwhile, or not clear: then of all
            device = None
    since = now - SPAN_MS
    with app.database.read() as connection:
        found = [
            *_events(connection, who, since, device),
            *_messages(connection, who, since, device),
            *_dead(connection, who, since, device),
            *_unknown(connection, who, since, device),
        ]
    return sorted(found, reverse=True)[:SHOWN]


def _events(
    connection: Connection, who: Actor, since: int, device: Device | None
) -> Iterable[Sign]:
    e = broker_events.c
    newest = sa.select(sa.func.max(e.id)).scalar_subquery()
    joined = broker_events.join(
        devices, devices.c.username == e.username, isouter=who.tenant is None
    )
    asked = (
        sa.select(e.at, e.event, e.username, e.address, e.detail, devices.c.tenant, devices.c.name)
        .select_from(joined)
        .where(e.id > newest - LOOK, e.at > since, e.event.in_([kind.value for kind in _KINDS]))
        .order_by(e.id.desc())
        .limit(SHOWN * 3)
    )
    if device is not None:
        asked = asked.where(sa.or_(devices.c.id == device.id, devices.c.id.is_(None)))
    for at, event, username, address, detail, tenant, name in connection.execute(
        walled(asked, devices.c.tenant, who)
    ):
        whose = f"{tenant}:{name}" if name is not None else ""
        shown = short(whose or username or "somebody without a username", 120)
        place = f" from {short(address, 64)}" if address else ""
        if event == LogKind.CONNECTED.value:
            if whose:
                yield Sign(at, "ok", "Connected", f"{shown} connected{place}.", whose)
        elif event == LogKind.REFUSED.value:
            reason, times = counted(detail)
            often = f", {times:,} times" if times > 1 else ""
            text = f"{shown}{place}: {short(why(reason), 200)}{often}."
            yield Sign(at, "bad", "Rejected", text, whose)
        elif event == LogKind.TLS_FAILED.value:
            text = f"A TLS connection{place} failed: {short(detail, 200)}. Compare the CA file."
            yield Sign(at, "bad", "TLS failed", text, whose)
        else:
            verb = "published to" if event == LogKind.DENIED_PUBLISH.value else "subscribed to"
            text = (
                f"{shown} {verb} a topic it may not use: {short(detail, 200)}. Compare the topic."
            )
            yield Sign(at, "bad", "Denied", text, whose)


def _messages(
    connection: Connection, who: Actor, since: int, device: Device | None
) -> Iterable[Sign]:
    asked = (
        sa.select(messages.c.received_at, messages.c.payload, devices.c.tenant, devices.c.name)
        .join(devices, devices.c.id == messages.c.device_id)
        .where(messages.c.id > newest_after(connection, LOOK), messages.c.received_at > since)
        .order_by(messages.c.id.desc())
        .limit(SHOWN)
    )
    if device is not None:
        asked = asked.where(messages.c.device_id == device.id)
    for at, payload, tenant, name in connection.execute(walled(asked, devices.c.tenant, who)):
        whose = f"{tenant}:{name}"
        text = f"{short(whose, 120)}: {payload_words(payload)}."
        yield Sign(at, "ok", "Stored", text, whose)


def _plain(body: dict[str, Any]) -> Iterable[tuple[str, str | int | float | bool]]:
    """What can be said in a word."""
    return (
        (name, value)
        for name, value in body.items()
        if isinstance(value, str | int | float | bool)
        and name.lower().replace("_", "") not in ENVELOPE
    )


def payload_words(payload: str) -> str:
    """``{"temperature": 4.2}`` → ``temperature 4.2``; at most four values."""
    try:
        body: Any = json.loads(payload)
    except ValueError:
        body = payload
    if not isinstance(body, dict):
        return short(body, 120)
    plain = [*_plain(body)]
    # Many dialects have the values one level below.
    plain += [pair for inner in body.values() if isinstance(inner, dict) for pair in _plain(inner)]
    said = [
        f"{short(name, 40)} {short(value, 60) if isinstance(value, str) else number(value)}"
        for name, value in plain[:VALUES_SHOWN]
    ]
    more = len(plain) - len(said)
    return ", ".join(said) + (f", and {more:,} more" if said and more else "") or "no plain values"


def _dead(connection: Connection, who: Actor, since: int, device: Device | None) -> Iterable[Sign]:
    d = dead_letters.c
    newest = sa.select(sa.func.max(d.id)).scalar_subquery()
    asked = (
        sa.select(d.received_at, d.reason, d.detail, d.topic)
        .where(d.id > newest - LOOK, d.received_at > since)
        .order_by(d.id.desc())
        .limit(SHOWN)
    )
    if device is not None:
        asked = asked.where(sa.or_(d.device_id == device.id, d.device_id.is_(None)))
    for at, reason, detail, topic in connection.execute(walled(asked, d.tenant, who)):
        said = DEAD.get(reason, reason.replace("_", " "))
        text = f"A message on {short(topic, 120)} was not stored ({said}): {short(detail, 200)}"
        yield Sign(at, "bad", "Not stored", text)


def _unknown(
    connection: Connection, who: Actor, since: int, device: Device | None
) -> Iterable[Sign]:
    s = strangers.c
    asked = (
        sa.select(s.last_seen_at, s.dialect, s.tenant, s.name, s.messages, s.last_topic)
        .where(s.last_seen_at > since)
        .order_by(s.last_seen_at.desc())
        .limit(SHOWN)
    )
    if device is not None:  # its own name with a mistake in it
        asked = asked.where(s.dialect == device.dialect, s.tenant == device.tenant)
    for at, dialect, tenant, name, heard, topic in connection.execute(walled(asked, s.tenant, who)):
        what = f"published on {short(topic, 120)}" if heard else "tried to log in"
        text = f"{short(name, 120)} ({dialect}, tenant {tenant}) {what} and was never added."
        yield Sign(at, "warn", "Unknown", text)
