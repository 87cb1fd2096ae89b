"""What the command line and HTTP answer of dialects."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mooring.dialects.capability import capabilities
from mooring.dialects.model import Channel, Dialect
from mooring.dialects.parameters import Parameter

__all__ = ["channel", "dialect"]


def dialect(found: Dialect) -> dict[str, Any]:
    """The declaration of one fleet."""
    return {
        "name": found.name,
        "title": found.title,
        "description": found.description,
        "username": found.username,
        "client_id": found.client_id,
        "client_id_fixed": found.client_id_fixed,
        "interval_seconds": None if found.interval_ms is None else found.interval_ms // 1000,
        "tenanted": found.tenanted,
        "needs_mac": found.needs_mac,
        "max_packet": found.max_packet,
        "capabilities": asdict(capabilities(found)),
        "channels": [channel(one) for one in found.channels],
    }


def channel(found: Channel) -> dict[str, Any]:
    """One channel of a dialect."""
    return {
        "name": found.name,
        "topic": found.topic,
        "direction": str(found.direction),
        "kind": str(found.kind),
        "qos": found.qos,
        "retain": found.retain,
        "operator_only": found.operator_only,
        "description": found.description,
        "example": found.payload.example,
        "commands": [
            {**asdict(one), "parameters": [_parameter(each) for each in one.parameters]}
            for one in found.commands
        ],
    }


def _parameter(found: Parameter) -> dict[str, Any]:
    return {**asdict(found), "type": str(found.type), "choices": list(found.choices)}
