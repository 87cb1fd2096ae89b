"""A dialect as one device needs it: what travels with its credentials. Pure.

The device SDK reads this document (``mooring_device.dialect``) and needs no code for a dialect.
A key that has its default value is left out. The version grows when a reader of the former one
would misunderstand the document; readers ignore keys that they do not know.
"""

from __future__ import annotations

from typing import Any

from mooring.dialects.model import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    Format,
    Identity,
    PayloadShape,
    TimeFormat,
)

__all__ = ["VERSION", "device_shape"]

VERSION = 1


def device_shape(dialect: Dialect, identity: Identity) -> dict[str, Any]:
    """The channels of one device, with its values in their topics.

    A level of a topic that is a command's or an alert's name is ``+``. A channel that the device
    has no topic of is left out: one of a group where it is in none, one of operators.
    """
    shape: dict[str, Any] = {
        "version": VERSION,
        "dialect": dialect.name,
        "channels": [
            _channel(channel, topics)
            for channel in dialect.channels
            if (topics := channel.addresses(identity))
        ],
    }
    if any(_of_group(channel) for channel in dialect.channels):
        shape["groups"] = list(identity.groups)
    return shape


def _of_group(channel: Channel) -> bool:
    return Attribute.GROUP in channel.placeholders.values() and not channel.operator_only


def _channel(channel: Channel, topics: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": channel.name,
        "kind": str(channel.kind),
        "direction": str(channel.direction),
        "topics": list(topics),
        "qos": channel.qos,
    }
    if channel.retain:
        found["retain"] = True
    payload = _payload(channel.payload, up=channel.direction is Direction.UP)
    if payload:
        found["payload"] = payload
    return found


def _payload(shape: PayloadShape, *, up: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if shape.format is not Format.JSON:
        found["format"] = str(shape.format)
    if shape.time:
        found["time"] = list(shape.time[0])
        if shape.time_format is not TimeFormat.ISO:
            found["time_format"] = str(shape.time_format)
    places = {
        "sequence": shape.sequence,
        "identifier": shape.identifier,
        "name": shape.name,
        "values": shape.values or None,
        "reply_to": shape.reply_to,
        "error": shape.error[0] if shape.error else None,
    }
    if up:
        places |= {
            "metadata": shape.metadata,
            "firmware": shape.firmware[0] if shape.firmware else None,
            "online": shape.online[0] if shape.online else None,
        }
        if shape.outcome:
            found["outcome"] = [list(path) for path in shape.outcome]
    else:
        places |= {
            "correlation": shape.correlation,
            "expires": shape.expires,
            "guard": shape.guard,
            "secrets": shape.secrets,
        }
    found |= {key: list(path) for key, path in places.items() if path is not None}
    return found
