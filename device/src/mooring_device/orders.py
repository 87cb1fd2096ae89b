"""Commands as they arrive, and replies as they go out, in any dialect.

Pure: bytes and a channel in, an ``Order`` out; an outcome in, a payload out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from mooring_device.dialect import Channel, Found, Path, Payload, look_up
from mooring_device.shapes import put

__all__ = ["MAX_ID", "MAX_WORDS", "Order", "Outcome", "parse_order", "read_json", "reply_to"]

MAX_ID = 256  # characters of a command's id
MAX_WORDS = 500  # characters of an error in a reply; the platform keeps no more

# Where the dialects put a command's id, name and arguments; tried where nothing is declared.
_ID = ("id", "commandId", "command_id", "correlationId", "request_id", "requestId")
_NAME = ("name", "command", "type", "action", "cmd")
_ARGS = ("args", "payload", "parameters", "params")
_BOOLEAN = ("ok", "success", "succeeded")  # keys of an outcome that hold true or false


class Order(NamedTuple):
    """A command as it arrived.

    Attributes:
        id: of the command, or ``None``; ``id_at``: where it was in the payload.
        lasts: milliseconds from when the platform sent it until it must not be carried out any
            more; ``None``: it does not say.
        channel: the name of the channel it came over.
    """

    id: str | None
    id_at: list[str]
    name: str
    args: dict[str, Any]
    lasts: int | None
    channel: str


class Outcome(NamedTuple):
    """What came of a command. ``ok``: ``None`` while it is not over."""

    word: str
    ok: bool | None
    result: Any = None
    error: str = ""


def read_json(payload: bytes) -> dict[str, Any]:
    """A JSON object; an empty payload is an empty one.

    Raises:
        ValueError: it is not one.
    """
    try:
        body = json.loads(payload) if payload.strip() else {}
    except RecursionError as exc:
        raise ValueError("it nests too deep") from exc
    if not isinstance(body, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  one error for bad input
    return body


def parse_order(found: Found, payload: bytes) -> Order:
    """Read a command.

    Raises:
        ValueError: it has no name, is no JSON object, or its id is too long.
    """
    channel, shape = found.channel, found.channel.payload
    if shape.is_text:
        return _text_order(found, payload.decode("utf-8"))
    try:
        body = read_json(payload)
    except ValueError:
        if shape.format != "either":
            raise
        return _text_order(found, payload.decode("utf-8"))
    if shape.guess:
        return _guessed_order(found, body)
    given = look_up(body, shape.identifier)
    id_at = list(shape.identifier or ("id",))
    named = look_up(body, shape.name)
    name = found.name or (named if isinstance(named, str) else "") or channel.name
    args = look_up(body, shape.values) if shape.values else _others(body, shape)
    lasts = _lasts(look_up(body, shape.time), look_up(body, shape.expires))
    return Order(_id(given), id_at, name, _mapping(args), lasts, channel.name)


def _text_order(found: Found, text: str) -> Order:
    """A bare text: the command's name, or its only parameter where the topic names it."""
    name = found.name or text or found.channel.name
    args: dict[str, Any] = {"value": text} if found.name and text and text != name else {}
    return Order(None, ["id"], name, args, None, found.channel.name)


def _guessed_order(found: Found, body: dict[str, Any]) -> Order:
    key = next((key for key in _ID if body.get(key) not in (None, "")), "id")
    name = found.name or next((body[k] for k in _NAME if isinstance(body.get(k), str)), "")
    if not name:
        raise ValueError("a command needs a name")
    args: Any = next((body[k] for k in _ARGS if body.get(k) is not None), {})
    lasts = _lasts(body.get("ts"), body.get("expires"))
    return Order(_id(body.get(key)), [key], name, _mapping(args), lasts, found.channel.name)


def _others(body: dict[str, Any], shape: Payload) -> dict[str, Any]:
    used = {path[0] for path in shape.known}
    return {key: value for key, value in body.items() if key not in used}


def _mapping(args: Any) -> dict[str, Any]:
    if args is None:
        return {}
    return args if isinstance(args, dict) else {"value": args}


def _id(given: Any) -> str | None:
    if given in (None, ""):
        return None
    if len(str(given)) > MAX_ID:
        raise ValueError(f"its id has more than {MAX_ID} characters")
    return str(given)


def _lasts(sent: Any, expires: Any) -> int | None:
    """A duration of the platform's clock: this device's own may be wrong."""
    begin, end = _moment(sent), _moment(expires)
    return None if begin is None or end is None else max(0, end - begin)


def _moment(value: Any) -> int | None:
    """Milliseconds since 1970, from a number of them or of seconds, or from ISO 8601."""
    if type(value) is int:
        return value if abs(value) >= 10**11 else value * 1000
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


# ---------------------------------------------------------------------- replies


def reply_to(
    channel: Channel, id_: str, id_at: list[str], outcome: Outcome
) -> dict[str, Any] | None:
    """The reply to a command; ``None`` where the dialect has no place to say this: it would be
    read as success.

    Args:
        id_at: where the id was in the command, for a reply whose payload is not known.
    """
    shape = channel.payload
    body: dict[str, Any] = {}
    if outcome.result is not None:
        if isinstance(outcome.result, Mapping) and not shape.values:
            body.update(outcome.result)
        else:
            put(body, shape.values or ("result",), outcome.result)
    places = shape.outcome
    if channel.kind == "rotation_reply" and not places:
        places = (("success",),)
    if not _put_outcome(body, places, outcome):
        return None
    if outcome.error:
        put(body, shape.error or ("error",), outcome.error)
    put(body, tuple(id_at) if shape.guess or not shape.reply_to else shape.reply_to, id_)
    return body


def _put_outcome(body: dict[str, Any], places: tuple[Path, ...], outcome: Outcome) -> bool:
    flag = next((path for path in places if path[-1] in _BOOLEAN), None)
    word = next((path for path in places if path[-1] not in _BOOLEAN), None)
    plain = outcome.word in ("done", "failed")
    if word is not None and not (plain and flag is not None):
        put(body, word, outcome.word)
        # The platform reads the first place that is there.
        if flag is not None and outcome.ok is not None and places.index(word) < places.index(flag):
            put(body, flag, outcome.ok)
        return True
    if flag is not None and outcome.ok is not None:
        put(body, flag, outcome.ok)
        return True
    return outcome.ok is True
