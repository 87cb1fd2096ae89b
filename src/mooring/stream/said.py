"""From a message to what a stream says of it. Pure."""

from __future__ import annotations

from mooring.dialects.meaning import (
    Scalar,
    firmware,
    metadata,
    name,
    online,
    online_text,
    readings,
)
from mooring.dialects.model import Channel, Kind
from mooring.dialects.payload import Decoded, PayloadLimits
from mooring.ingest.routing import Route
from mooring.stream.model import KINDS, Change

__all__ = ["change_of", "values_of"]

NAME_MAX = 128
_STATES = frozenset(map(str, (Kind.STATUS, Kind.ONLINE, Kind.OFFLINE, Kind.HEARTBEAT)))
_NAMED = frozenset(map(str, (Kind.ALERT, Kind.ALERT_CLEARED, Kind.EVENT, Kind.REPLY)))


def change_of(
    route: Route, decoded: Decoded, received_at: int, limits: PayloadLimits
) -> Change | None:
    """What a message says; ``None`` where a stream does not carry its kind."""
    kind = str(route.kind)
    if kind not in KINDS:
        return None
    body = decoded.body
    values = values_of(route.channel, decoded.text if body is None else body, limits)
    word = ""
    if kind in _NAMED:
        named = None if body is None else name(route.channel.payload, body)
        word = (named or route.word or "")[:NAME_MAX]
    # A device whose clock is ahead must not hide what it says later.
    at = min(decoded.time_ms, received_at)
    return Change(route.device, kind, route.channel.name, word, at, values)


def values_of(
    channel: Channel, said: object, limits: PayloadLimits | None = None
) -> dict[str, Scalar]:
    """Metric → value of a payload: readings; of its state also the rest, its
    firmware, and whether it is there; of a text the text.

    Args:
        said: the decoded object, or the text.
    """
    shape, state = channel.payload, str(channel.kind) in _STATES
    if isinstance(said, str):
        there = online_text(said) if state else None
        return {"text": said} | ({} if there is None else {"online": there})
    values = readings(shape, said, limits)
    if state:
        values |= metadata(shape, said, limits)
    version = firmware(shape, said)
    if version is not None:
        values["firmware"] = version
    there = online(shape, said)
    if there is not None:
        values["online"] = there
    return values
