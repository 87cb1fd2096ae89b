"""From bytes to a message: one compiled decoder per payload shape.

Pure: bytes and the receive time in, a ``Decoded`` or a ``BadPayload`` out. A bad payload is
a result, never an exception. The whole payload is validated (UTF-8, JSON, number range,
depth), because what is stored must be readable by every database and client later; but only
the time, the sequence number and the required keys are looked at. ``mooring.dialects.meaning``
looks at the rest.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from mooring.dialects.lenient import repair
from mooring.dialects.model import Format, Path, PayloadShape, TimeNumbers
from mooring.dialects.times import (
    DAY_MS,
    EARLIEST_MS,
    FIRST_MS,
    FIRST_US,
    is_uptime,
    parse_time,
)

__all__ = [
    "DATA_PREFIX",
    "MAX_INTEGER",
    "MAX_SEQUENCE",
    "BadPayload",
    "Decoded",
    "Decoder",
    "PayloadLimits",
    "Reason",
    "TimeSource",
    "compile_decoder",
    "look_up",
]

MAX_INTEGER = 2**63 - 1  # what a database column and most JSON readers can hold
MAX_SEQUENCE = 2**53 - 1  # what every JSON reader holds exactly; the device SDK counts as far
DATA_PREFIX = "data:;base64,"  # before bytes that are not text (format ``any``)


class Reason(StrEnum):
    """Why a payload was not accepted. The words are stored and shown; they stay."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NUMBER_TOO_LARGE = "number_too_large"
    NUL_CHARACTER = "nul_character"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"


class TimeSource(StrEnum):
    """Where ``Decoded.time_ms`` comes from."""

    DEVICE = "device"
    RECEIVED = "received"  # the payload gives no time
    IMPLAUSIBLE = "implausible"  # it gives one that cannot be; the receive time is used


@dataclass(frozen=True, slots=True)
class PayloadLimits:
    """What a payload may be, and which device times are believed.

    Attributes:
        max_bytes: of the whole payload.
        max_depth: of nested objects and arrays.
        max_metrics: readings taken from one payload; the rest is dropped and counted.
        earliest_ms: device times before this are implausible, in epoch milliseconds.
        future_ms: how far past the receive time a device's clock may be.
    """

    max_bytes: int = 262_144
    max_depth: int = 32
    max_metrics: int = 256
    earliest_ms: int = EARLIEST_MS
    future_ms: int = DAY_MS


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A payload that can be stored.

    Attributes:
        text: the payload as it is kept, byte for byte what the device sent; for bytes that are not
        text, ``data:;base64,…``.
        time_ms: the time that counts, epoch milliseconds.
        time_source: whose time that is.
        seq: the device's sequence number, if it gave a whole number from 0 to
            ``MAX_SEQUENCE``.
        body: the decoded object, or ``None`` where the payload is not JSON.
        not_numbers: values such as ``NaN`` that were left out.
    """

    text: str
    time_ms: int
    time_source: TimeSource
    seq: int | None
    body: dict[str, Any] | None
    not_numbers: int = 0


class BadPayload(msgspec.Struct, frozen=True, gc=False):
    """Why a payload cannot be used; ``detail`` is one sentence for people."""

    reason: Reason
    detail: str


Decoder = Callable[[bytes, int], Decoded | BadPayload]

_ARRAY, _BACKSLASH = b"[\\"
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
# An integer that is too large has 19 digits or more, so at least three in a row of every
# sixth byte are digits. Looking there first costs half of looking everywhere; milliseconds and
# microseconds since 1970 can look like it, and are told apart by the second look.
_EVERY = 6
_THREE_DIGITS = b"000"
_MANY_DIGITS = b"0" * 19
_QUOTE = b'"'
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# An escaped U+0000; an even number of backslashes before it are backslashes themselves.
# Judged in the text, not in what it decodes to: of a key given twice the database sees both.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_parse = msgspec.json.Decoder().decode


def compile_decoder(shape: PayloadShape, limits: PayloadLimits) -> Decoder:
    """The function that decodes payloads of this shape.

    It takes the payload and the receive time (epoch milliseconds) and never raises for
    anything a device can send.
    """
    if shape.format is Format.JSON:
        return _json_decoder(shape, limits)
    if shape.format is Format.EITHER:
        return _either_decoder(shape, limits)
    return _text_decoder(limits, binary=shape.format is Format.ANY)


def look_up(body: object, path: Path) -> Any:
    """What is at ``path``, or ``None`` where there is nothing."""
    for key in path:
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


def _json_decoder(shape: PayloadShape, limits: PayloadLimits) -> Decoder:
    times = tuple((path[0], path[1:]) for path in shape.time if path)
    sequence, required = shape.sequence, shape.required
    epoch = shape.time_numbers is TimeNumbers.EPOCH
    max_bytes, max_depth = limits.max_bytes, limits.max_depth
    earliest, future = limits.earliest_ms, limits.future_ms
    from_device, received, implausible = (
        TimeSource.DEVICE,
        TimeSource.RECEIVED,
        TimeSource.IMPLAUSIBLE,
    )

    def decode(payload: bytes, received_ms: int) -> Decoded | BadPayload:  # noqa: PLR0911, PLR0912
        # One function on purpose: this runs for every message, and each call costs as much
        # as one of its checks.
        if len(payload) > max_bytes:
            return _too_large(payload, max_bytes)
        try:
            text = str(payload, "utf-8")
            # It takes more opening brackets than the limit to break it: seldom the case.
            # ``byte in bytes`` is a memchr, much cheaper than counting.
            brackets = payload.count(b"{")
            if _ARRAY in payload:
                brackets += payload.count(b"[")
            if brackets > max_depth and _too_deep(payload, max_depth):
                return BadPayload(Reason.TOO_DEEP, f"It is nested deeper than {max_depth} levels.")
            body = _parse(payload)
        except (ValueError, RecursionError) as error:  # DecodeError is a ValueError
            return leniently(payload, received_ms) or _explain(payload, error)
        if type(body) is not dict:
            return BadPayload(
                Reason.WRONG_TYPE, f"It must be a JSON object, not {_json_type(body)}."
            )
        if _BACKSLASH in payload and _NUL.search(payload):
            return BadPayload(Reason.NUL_CHARACTER, "A text contains the character U+0000.")
        if (
            payload[::_EVERY].translate(_ZEROS).find(_THREE_DIGITS) >= 0
            and payload.translate(_ZEROS).find(_MANY_DIGITS) >= 0
            and _integer_too_large(body)
        ):
            return BadPayload(
                Reason.NUMBER_TOO_LARGE, "A whole number does not fit in 64 signed bits."
            )
        for path in required:
            if look_up(body, path) is None:
                return BadPayload(Reason.MISSING_FIELD, f"The key {'.'.join(path)!r} is missing.")
        time_ms, source = received_ms, received
        for key, deeper in times:
            given = body.get(key)
            if deeper:
                given = look_up(given, deeper)
            if given is None:
                continue
            # Milliseconds, as most firmware sends them, need no look at what else they may be.
            plain = type(given) is int and FIRST_MS <= given < FIRST_US
            said = given if plain else parse_time(given)
            if not epoch and is_uptime(given):
                continue
            if said is not None and earliest <= said <= received_ms + future:
                time_ms, source = said, from_device
                break
            source = implausible
        seq = None if sequence is None else _sequence(look_up(body, sequence))
        return Decoded(text, time_ms, source, seq, body)

    def leniently(payload: bytes, received_ms: int) -> Decoded | BadPayload | None:
        """With ``NaN`` and the like left out; ``None`` where none exists."""
        repaired, words = repair(payload)
        if not words:
            return None
        found = decode(repaired, received_ms)
        if isinstance(found, Decoded):
            return msgspec.structs.replace(found, text=str(payload, "utf-8"), not_numbers=words)
        return found if found.reason is not Reason.NOT_JSON else None

    return decode


def _either_decoder(shape: PayloadShape, limits: PayloadLimits) -> Decoder:
    as_json = _json_decoder(shape, limits)
    as_text = _text_decoder(limits, binary=False)

    def decode(payload: bytes, received_ms: int) -> Decoded | BadPayload:
        found = as_json(payload, received_ms)
        if isinstance(found, BadPayload) and found.reason in (Reason.NOT_JSON, Reason.WRONG_TYPE):
            return as_text(payload, received_ms)
        return found

    return decode


def _text_decoder(limits: PayloadLimits, *, binary: bool) -> Decoder:
    max_bytes = limits.max_bytes

    def decode(payload: bytes, received_ms: int) -> Decoded | BadPayload:
        if len(payload) > max_bytes:
            return _too_large(payload, max_bytes)
        if not payload:
            return BadPayload(Reason.EMPTY, "The payload is empty.")
        try:
            text: str | None = str(payload, "utf-8")
        except UnicodeDecodeError as error:
            if not binary:
                return _explain(payload, error)
            text = None
        if text is not None and "\0" in text:
            if not binary:
                return BadPayload(Reason.NUL_CHARACTER, "The text contains the character U+0000.")
            text = None
        if text is None:
            text = DATA_PREFIX + base64.b64encode(payload).decode("ascii")
        return Decoded(text, received_ms, TimeSource.RECEIVED, None, None)

    return decode


def _explain(payload: bytes, error: ValueError | RecursionError) -> BadPayload:
    if not payload or payload.isspace():
        return BadPayload(Reason.EMPTY, "The payload is empty.")
    if isinstance(error, RecursionError):
        return BadPayload(Reason.TOO_DEEP, "It is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return BadPayload(Reason.NOT_UTF8, f"Byte {error.start} is not UTF-8.")
    if isinstance(error, msgspec.ValidationError):  # msgspec's word for "out of range"
        return BadPayload(Reason.NUMBER_TOO_LARGE, f"{error}.")
    return BadPayload(Reason.NOT_JSON, f"{error}.")


def _too_large(payload: bytes, limit: int) -> BadPayload:
    return BadPayload(Reason.TOO_LARGE, f"It has {len(payload)} bytes; the limit is {limit}.")


def _too_deep(payload: bytes, most: int) -> bool:
    """Whether brackets nest deeper than ``most`` levels, outside of strings.

    Works on all bytes at once: a device may send a quarter of a megabyte of brackets. Each pass
    removes the innermost level.
    """
    brackets = payload
    if _QUOTE in payload:
        # Without escapes every second part is outside of strings. A pattern would look for the
        # end of a string from each quote again, where none comes.
        plain = payload.replace(b"\\\\", b"").replace(b'\\"', b"")
        brackets = b"".join(plain.split(_QUOTE)[::2])
    brackets = brackets.translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(most):
        shorter = brackets.replace(b"{}", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return b"{}" in brackets or brackets.count(b"{") > most


def _integer_too_large(value: object) -> bool:
    """Whether an integer anywhere in a decoded payload does not fit."""
    pending: list[object] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, int) and not -MAX_INTEGER - 1 <= item <= MAX_INTEGER:
            return True
    return False


def _sequence(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():  # some libraries write 12.0
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEQUENCE:
        return value
    return None


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case _:
            return "an array"
