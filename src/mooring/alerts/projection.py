"""Alerts that devices raise and clear themselves, in the transaction that stores their messages.

A device reports a state of its own, so its messages count in their order, also those that it kept
while it had no connection. Such a late one is marked: nobody is notified of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from mooring.alerts.changes import Change, apply
from mooring.alerts.model import (
    LATE_MS,
    Bounds,
    Clear,
    Raise,
    Severity,
    Source,
    device_key,
    severity_of,
)
from mooring.dialects.model import Channel, Kind
from mooring.ingest.facts import Fact
from mooring.ingest.projection import ALWAYS, NEVER, Effect, Keys, Sees

__all__ = ["MESSAGE_MAX", "DeviceAlerts"]

MESSAGE_MAX = 500
"""Characters of the text of an alert of a device; the message itself is stored whole."""

_KEY = "severity"
_SAYS = ("message", "description", "detail", "reason", "text")


class DeviceAlerts:
    """Messages of the kinds alert and alert_cleared, and events that name a severity of at least
    warning."""

    name = "alerts"
    sees = Sees.STORED

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()

    def wants(self, channel: Channel) -> Keys:
        if channel.kind in (Kind.ALERT, Kind.ALERT_CLEARED):
            return ALWAYS
        return frozenset({_KEY}) if channel.kind is Kind.EVENT else NEVER

    def plan(self, facts: Sequence[Fact]) -> list[Change] | None:
        return [change for fact in facts if (change := _change(fact)) is not None] or None

    def apply(self, connection: Connection, rows: list[Change]) -> Sequence[Effect]:
        apply(connection, rows, self._bounds)
        return ()


def _change(fact: Fact) -> Change | None:
    body = fact.body or {}
    late = fact.received_at - fact.ts > LATE_MS
    name = fact.name
    device = fact.device
    if fact.kind is Kind.ALERT_CLEARED:
        key = None if name is None else device_key(device.id, _digest(name))
        return Clear(key, fact.received_at, _says(body), device.id, late)
    severity = severity_of(body.get(_KEY))
    if fact.kind is Kind.EVENT and (severity is None or severity < Severity.WARNING):
        return None
    name = name or "alert"
    return Raise(
        key=device_key(device.id, _digest(name)),
        tenant=device.tenant,
        device_id=device.id,
        source=Source.DEVICE,
        name=name,
        severity=severity or Severity.WARNING,
        at=fact.received_at,
        message=_says(body),
        late=late,
    )


def _digest(name: str) -> str:
    """Two long names that begin alike are two alerts."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:40]


def _says(body: Mapping[str, Any]) -> str:
    for key in _SAYS:
        said = body.get(key)
        if isinstance(said, str) and said:
            return said[:MESSAGE_MAX]
        if isinstance(said, int | float):
            return json.dumps(said)
    return ""
