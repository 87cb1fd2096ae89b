"""The AsyncAPI 3.0 document of one or more dialects.

Told from the platform's side: it *receives* what runs up and *sends* what runs down.
Deterministic: the same dialects give the same document, key for key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mooring.dialects.model import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    Format,
    Path,
    PayloadShape,
)
from mooring.errors import Invalid

__all__ = ["document"]

_BINDING = "0.2.0"
_PROTOCOLS = {
    "mqtt": "mqtt",
    "tcp": "mqtt",
    "mqtts": "secure-mqtt",
    "ssl": "secure-mqtt",
    "ws": "ws",
    "wss": "wss",
}
_PLACEHOLDERS = {
    Attribute.TENANT: "The tenant the device belongs to.",
    Attribute.DEVICE: "The device's id.",
    Attribute.MAC: "The device's MAC address, as its firmware writes it.",
    Attribute.GROUP: "A group of devices.",
    Attribute.NAME: "A free word: the name of a command or an alert.",
}
_CONTENT_TYPES = {
    Format.JSON: "application/json",
    Format.TEXT: "text/plain",
    Format.EITHER: "application/json",
    Format.ANY: "application/octet-stream",
}


def document(dialects: Iterable[Dialect], *, server_url: str, version: str) -> dict[str, Any]:
    """The document as plain dictionaries and lists.

    Args:
        dialects: whose channels to describe.
        server_url: of the broker, such as ``mqtts://broker.example:8883``.
        version: of the API described.

    Raises:
        Invalid: ``server_url`` is not a valid broker address.
    """
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    described = []
    for dialect in dialects:
        described.append(dialect)
        for channel in dialect.channels:
            key = f"{dialect.name}.{channel.name}"
            channels[key] = _channel(dialect, channel, key)
            operations[key] = _operation(channel, key)
            messages[key] = _message(channel, key)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mooring device messages",
            "version": version,
            "description": "Messages between devices and the platform over MQTT.",
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server(server_url)},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "securitySchemes": {
                "password": {
                    "type": "userPassword",
                    "description": "Usernames by dialect: "
                    + ", ".join(f"{d.name}: {d.username}" for d in described),
                },
                "certificate": {"type": "X509", "description": "A device certificate."},
            },
            "tags": {d.name: {"name": d.name, "description": d.title} for d in described},
        },
    }


def _server(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        scheme, name, port = parts.scheme, parts.hostname, parts.port
    except ValueError:  # a port past 65535, half an IPv6 address
        scheme, name, port = "", None, None
    if scheme not in _PROTOCOLS or not name:
        shown = url.rpartition("@")[2]  # what is before may be a password
        raise Invalid(
            f"{shown!r} is not a valid broker address.",
            hint="Use for example mqtts://host:8883. Supported schemes: "
            + ", ".join(_PROTOCOLS)
            + ".",
        )
    host = f"[{name}]" if ":" in name else name
    server: dict[str, Any] = {
        "host": f"{host}:{port}" if port else host,
        "protocol": _PROTOCOLS[scheme],
        "protocolVersion": "3.1.1",
        "security": [
            {"$ref": "#/components/securitySchemes/password"},
            {"$ref": "#/components/securitySchemes/certificate"},
        ],
    }
    if parts.path not in ("", "/"):
        server["pathname"] = parts.path
    return server


def _channel(dialect: Dialect, channel: Channel, key: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "address": channel.topic,
        "title": f"{dialect.title}: {channel.name}",
        "description": channel.description or f"{dialect.title}, kind {channel.kind}.",
        "messages": {"message": {"$ref": f"#/components/messages/{key}"}},
        "tags": [{"$ref": f"#/components/tags/{dialect.name}"}],
        "x-mooring-kind": str(channel.kind),
        "x-mooring-operator-only": channel.operator_only,
    }
    if channel.placeholders:
        described["parameters"] = {
            name: {"description": _PLACEHOLDERS[attribute]}
            for name, attribute in channel.placeholders.items()
        }
    return described


def _operation(channel: Channel, key: str) -> dict[str, Any]:
    return {
        "action": "receive" if channel.direction is Direction.UP else "send",
        "channel": {"$ref": f"#/channels/{key}"},
        "messages": [{"$ref": f"#/channels/{key}/messages/message"}],
        "bindings": {
            "mqtt": {
                "qos": channel.qos,
                "retain": channel.retain,
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(channel: Channel, key: str) -> dict[str, Any]:
    shape = channel.payload
    message: dict[str, Any] = {
        "name": key,
        "contentType": _CONTENT_TYPES[shape.format],
        "payload": _payload(shape),
    }
    if shape.example:
        message["examples"] = [{"payload": _example(shape)}]
    return message


def _payload(shape: PayloadShape) -> dict[str, Any]:
    if shape.format in (Format.TEXT, Format.ANY):
        return {"type": "string"}
    example = _example(shape)
    schema = _schema(example) if isinstance(example, dict) else {"type": "object"}
    for path in shape.required:
        _require(schema, path)
    if shape.format is Format.EITHER:
        return {"oneOf": [schema, {"type": "string"}]}
    return schema


def _example(shape: PayloadShape) -> Any:
    if shape.format in (Format.TEXT, Format.ANY) or not shape.example:
        return shape.example
    try:
        return msgspec.json.decode(shape.example)
    except msgspec.DecodeError:  # only the format ``either`` allows text here
        return shape.example


def _schema(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"type": "null"}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            # an example of 20 says nothing against 20.5
            return {"type": "number"}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array", "items": _schema(value[0]) if value else {}}
        case _:
            properties = {key: _schema(below) for key, below in value.items()}
            return {"type": "object", "properties": properties}


def _require(schema: dict[str, Any], path: Path) -> None:
    for key in path:
        required = schema.setdefault("required", [])
        if key not in required:
            required.append(key)
        schema = schema.setdefault("properties", {}).setdefault(key, {})
