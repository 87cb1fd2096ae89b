"""From what the platform wants to say to a payload in a dialect's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mooring.dialects.model import Format, Path, PayloadShape, TimeFormat
from mooring.dialects.times import iso

__all__ = ["compose", "compose_text", "packet_bytes"]


def compose(
    shape: PayloadShape,
    values: Mapping[str, Any],
    *,
    time_ms: int,
    identifier: str | int | None = None,
    name: str | None = None,
    device: str | None = None,
    sequence: int | None = None,
    expires_ms: int | None = None,
    guard_seconds: int | None = None,
    secrets: Sequence[Sequence[str]] | None = None,
) -> bytes:
    """A payload for a channel that runs down: a JSON object, or the bare text where the
    channel's format is text (see ``compose_text``).

    ``values`` (parameters, settings) go where the shape's ``values`` says; with an empty
    path they are next to the other keys, which win over values of the same name. Each
    other argument is written where the shape has a place for it and is left out otherwise.

    Args:
        time_ms: epoch milliseconds, written as the shape's ``time_format``.
        identifier: a command's id or a config's version.
        name: the command's name.
        device: the device's id.
        sequence: for receipts: up to which number everything is committed.
        expires_ms: epoch milliseconds after which a command must not be carried out any more.
        guard_seconds: within what time settings have to be confirmed.
        secrets: paths of secret fields in settings; ``*`` stands for any key.

    Raises:
        ValueError: the values cannot be written in this shape.
    """
    if shape.format in (Format.TEXT, Format.ANY):
        return compose_text(name or "", values)
    body: dict[str, Any] = {}
    for path, constant in shape.fixed:
        _put(body, path, constant)
    if shape.time:
        _put(body, shape.time[0], _time(time_ms, shape.time_format))
    places = (
        (shape.device, device),
        (shape.identifier, identifier),
        (shape.correlation, identifier),
        (shape.name, name),
        (shape.sequence, sequence),
        (shape.guard, guard_seconds),
        (shape.secrets, secrets),
    )
    for place, given in places:
        if place is not None and given is not None:
            _put(body, place, given)
    if shape.expires is not None and expires_ms is not None:
        _put(body, shape.expires, _time(expires_ms, shape.time_format))
    if shape.values:
        _put(body, shape.values, dict(values))
    else:
        body = {**values, **body}
    return msgspec.json.encode(body)


def compose_text(name: str, values: Mapping[str, Any]) -> bytes:
    """The bare text of a command: its only parameter ``value``, or else its name.

    Raises:
        ValueError: there are other parameters, which a text has no place for.
    """
    if not values:
        return name.encode()
    if set(values) != {"value"} or isinstance(values["value"], dict | list):
        raise ValueError("a command sent as text has one parameter: value")
    value = values["value"]
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode()).encode()


def packet_bytes(topic: str, payload: bytes, qos: int) -> int:
    """Bytes of the PUBLISH packet that an MQTT 3.1.1 client receives [MQTT-3.3]."""
    body = 2 + len(topic.encode()) + (2 if qos else 0) + len(payload)
    length = 1
    while body >> (7 * length):
        length += 1
    return 1 + length + body


def _time(time_ms: int, form: TimeFormat) -> str | int:
    match form:
        case TimeFormat.ISO:
            return iso(time_ms)
        case TimeFormat.SECONDS:
            return time_ms // 1000
        case TimeFormat.MILLISECONDS:
            return time_ms


def _put(body: dict[str, Any], path: Path, value: object) -> None:
    *outer, last = path
    for key in outer:
        body = body.setdefault(key, {})
    body[last] = value
