"""SQL of a diagnosis: what the database knows of one device's connections. Reads only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.broker.log import LogKind
from mooring.devices.model import Device
from mooring.doctor.seen import CertificateSeen, DeadLetterSeen, Event, EventKind
from mooring.presence.evidence import SAID_TOO_LARGE, TOO_LARGE
from mooring.store.schema import (
    broker_changes,
    broker_events,
    certificates,
    channels,
    credentials,
    dead_letters,
    device_state,
    former_verifiers,
    latest,
    presence,
    rotations,
)

__all__ = [
    "CredentialRow",
    "StateRow",
    "certificates_of",
    "credential",
    "event_of",
    "events",
    "expected_ms",
    "last_stored",
    "newest_dead_letter",
    "pending",
    "removed",
    "rotating",
    "state",
    "unnamed",
]

EVENTS_MOST = 100  # of one login
UNNAMED_LOOK = 2_000  # newest events among which rejected logins without a name are looked for

CredentialRow = tuple[bool, int, int | None]  # has a password, since when, first used
StateRow = tuple[bool | None, int | None, str | None, int | None]

_KINDS = {
    str(LogKind.CONNECTED): EventKind.LOGIN,
    str(LogKind.DISCONNECTED): EventKind.GONE,
    str(LogKind.TAKEN_OVER): EventKind.TAKEN_OVER,
    str(LogKind.REFUSED): EventKind.REFUSED,
    str(LogKind.DENIED_PUBLISH): EventKind.DENIED,
    str(LogKind.DENIED_SUBSCRIBE): EventKind.DENIED,
    "denied_read": EventKind.DENIED,
    str(LogKind.TLS_FAILED): EventKind.TLS_FAILED,
    "oversize": EventKind.OVERSIZE,
    "limited": EventKind.LIMITED,
}
# Mosquitto's number for the end of a session, as its plugin interface gives it.
_ENDS = {
    "-1": "",  # 2.0 gives its plugins no reason
    "0": "the device disconnected",
    "1": "the broker was out of memory",
    "2": "protocol error",
    "7": "connection lost",
    "8": "TLS error",
    "12": "denied",
    "14": "connection lost",
    "18": "malformed UTF-8",
    "19": "keep-alive exceeded",
    "21": "malformed packet",
    "25": "packet too large",
    "30": "ended by the platform",
}
_ACTIONS = {
    str(LogKind.DENIED_PUBLISH): "publish",
    str(LogKind.DENIED_SUBSCRIBE): "subscribe",
    "denied_read": "read",
}
_TOO_LARGE = {TOO_LARGE, *SAID_TOO_LARGE}
_COUNTED = re.compile(r"(?P<why>.*) \((?P<count>\d+) times\)", re.DOTALL)
_COLUMNS = (
    broker_events.c.id,
    broker_events.c.at,
    broker_events.c.event,
    broker_events.c.client_id,
    broker_events.c.address,
    broker_events.c.detail,
)


def events(connection: Connection, username: str) -> list[Event]:
    """What the broker saw of a login, newest first."""
    rows = connection.execute(
        sa.select(*_COLUMNS)
        .where(broker_events.c.username == username)
        .order_by(broker_events.c.id.desc())
        .limit(EVENTS_MOST)
    )
    return _in_order(rows)


def unnamed(connection: Connection, address: str, since: int) -> list[Event]:
    """Rejected logins and failed handshakes of which the broker does not say whose they were.

    Without the client ID that was tried: the attempt may be that of another tenant's device
    behind the same address.

    Args:
        address: only from there; empty: from anywhere, and then without the address.
    """
    newest = (
        sa.select(*_COLUMNS, broker_events.c.username)
        .order_by(broker_events.c.id.desc())
        .limit(UNNAMED_LOOK)
        .subquery()
    )
    rows = connection.execute(
        sa.select(
            newest.c.id,
            newest.c.at,
            newest.c.event,
            newest.c.client_id,
            newest.c.address,
            newest.c.detail,
        ).where(
            newest.c.username.is_(None),
            newest.c.at >= since,
            *([newest.c.address == address] if address else []),
        )
    )
    wanted = (EventKind.REFUSED, EventKind.TLS_FAILED)
    return [
        replace(one, client_id="", address=address, named=False)
        for one in _in_order(rows)
        if one.kind in wanted
    ]


def _in_order(rows: Iterable[Sequence[Any]]) -> list[Event]:
    found = ((number, event_of(*row)) for number, *row in rows)
    return [replace(event, order=number) for number, event in found if event is not None]


def event_of(
    at: int, word: str, client_id: str | None, address: str | None, detail: str
) -> Event | None:
    """A stored row as an event; ``None`` for one that no verdict rests on."""
    kind = _KINDS.get(word)
    if kind is None:
        return None
    action = _ACTIONS.get(word, "")
    counted = _COUNTED.fullmatch(detail)
    text, count = (counted["why"], int(counted["count"])) if counted else (detail, 1)
    topic, why = (text, "") if action else ("", text)
    if why.startswith("limit_"):
        kind = EventKind.LIMITED
    elif kind in (EventKind.GONE, EventKind.TAKEN_OVER):
        kind = EventKind.OVERSIZE if why in _TOO_LARGE else kind
        why = _ENDS.get(why, why)
    return Event(at, kind, why, client_id or "", address or "", topic, action, count)


def credential(connection: Connection, device_id: int) -> CredentialRow | None:
    row = connection.execute(
        sa.select(
            credentials.c.verifier.is_not(None),
            credentials.c.created_at,
            credentials.c.proved_at,
        ).where(credentials.c.device_id == device_id)
    ).first()
    return None if row is None else (bool(row[0]), row[1], row[2])


def state(connection: Connection, device_id: int) -> StateRow:
    """Connected, since when, from where; and when it was last seen."""
    row = connection.execute(
        sa.select(
            device_state.c.connected,
            device_state.c.connected_at,
            device_state.c.address,
            device_state.c.last_seen_at,
        ).where(device_state.c.device_id == device_id)
    ).first()
    return (None, None, None, None) if row is None else (row[0], row[1], row[2], row[3])


def expected_ms(connection: Connection, device_id: int) -> int | None:
    """How often the device sends, in milliseconds; ``None``: not known."""
    statement = sa.select(presence.c.interval_ms).where(presence.c.device_id == device_id)
    return connection.execute(statement).scalar()


def last_stored(connection: Connection, device: Device) -> tuple[str, int] | None:
    """The channel of the newest stored message, and when it was received."""
    row = connection.execute(
        sa.select(channels.c.name, latest.c.received_at)
        .join(channels, channels.c.id == latest.c.channel_id)
        .where(latest.c.device_id == device.id)
        .order_by(latest.c.received_at.desc())
        .limit(1)
    ).first()
    return None if row is None else (row[0], row[1])


def newest_dead_letter(connection: Connection, device_id: int) -> DeadLetterSeen | None:
    row = connection.execute(
        sa.select(
            dead_letters.c.received_at,
            dead_letters.c.reason,
            dead_letters.c.detail,
            dead_letters.c.topic,
        )
        .where(dead_letters.c.device_id == device_id, dead_letters.c.reason != "denied")
        .order_by(dead_letters.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else DeadLetterSeen(*row)


def pending(connection: Connection, username: str) -> str | None:
    """The last error of a change that the broker has not applied; empty: not tried yet."""
    row = connection.execute(
        sa.select(sa.func.coalesce(broker_changes.c.error, ""))
        .where(broker_changes.c.username.in_((username, "")))
        .order_by(broker_changes.c.id)
        .limit(1)
    ).first()
    return None if row is None else str(row[0])


def rotating(connection: Connection, device_id: int) -> bool:
    statement = sa.select(rotations.c.id).where(
        rotations.c.device_id == device_id, rotations.c.finished_at.is_(None)
    )
    return connection.execute(statement.limit(1)).first() is not None


def removed(connection: Connection, username: str, tenants: Sequence[str] | None) -> int | None:
    """The number of a removed device that had this username, of a tenant that may be seen."""
    statement = sa.select(former_verifiers.c.device_id).where(
        former_verifiers.c.username == username, former_verifiers.c.removed
    )
    if tenants is not None:
        statement = statement.where(former_verifiers.c.tenant.in_(tenants))
    return connection.execute(statement.order_by(former_verifiers.c.id.desc()).limit(1)).scalar()


def certificates_of(connection: Connection, device: Device) -> list[CertificateSeen]:
    """The device's certificates, newest first."""
    rows = connection.execute(
        sa.select(
            certificates.c.serial,
            certificates.c.not_before,
            certificates.c.not_after,
            certificates.c.revoked_at,
        )
        .where(certificates.c.username == device.username)
        .order_by(certificates.c.id.desc())
        .limit(20)
    )
    return [CertificateSeen(*row) for row in rows]
