"""What the command line and HTTP answer of devices. Times are text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mooring.broker.access_rules import RightsVerdict
from mooring.devices.attributes.model import Held
from mooring.devices.attributes.model import document as attributes
from mooring.devices.model import Credentials, Device
from mooring.devices.state import DeviceState
from mooring.dialects.times import iso, iso_or_none

__all__ = ["can", "credentials", "details", "device", "listed", "state", "topics"]


def device(found: Device) -> dict[str, Any]:
    """A device, without any secret."""
    return {
        "id": found.id,
        "device": found.name,
        "tenant": found.tenant,
        "dialect": found.dialect,
        "label": found.label,
        "mac": found.mac,
        "groups": list(found.groups),
        "username": found.username,
        "client_id": found.client_id,
        "enabled": found.enabled,
        "created_at": iso(found.created_at),
    }


def listed(found: Device, held: Mapping[str, Held]) -> dict[str, Any]:
    """A device in a list, with its attributes."""
    return {**device(found), "attributes": attributes(held)}


def details(
    found: Device, held: Mapping[str, Held], topics_: Mapping[str, str], known: DeviceState
) -> dict[str, Any]:
    """A device with its attributes, topics (by kind) and state."""
    return {**listed(found, held), "topics": dict(topics_), "state": state(known)}


def state(known: DeviceState) -> dict[str, Any]:
    """What is known of a device's state."""
    times = ("last_seen_at", "online_at", "metadata_at", "connected_at")
    return {**asdict(known), **{name: iso_or_none(getattr(known, name)) for name in times}}


def topics(found: Device, topics_: Mapping[str, str]) -> dict[str, Any]:
    """Kind → topic."""
    return {"device": found.name, "tenant": found.tenant, "topics": dict(topics_)}


def can(found: Device, action: str, topic: str, verdict: RightsVerdict) -> dict[str, Any]:
    """Whether a device may use a topic, and what decides it."""
    return {
        "device": found.name,
        "tenant": found.tenant,
        "action": action,
        "topic": topic,
        "allowed": verdict.allowed,
        "rule": verdict.rule,
        "reason": verdict.reason,
    }


def credentials(
    made: Credentials, accepted: bool, broker: Mapping[str, Any], http: Mapping[str, Any]
) -> dict[str, Any]:
    """A new device with its password and what it needs to connect."""
    return {
        **device(made.device),
        "password": made.password,
        "topics": made.topics,
        "shape": made.shape,
        "accepted_by_broker": accepted,
        "broker": dict(broker),
        "http": dict(http),
    }
