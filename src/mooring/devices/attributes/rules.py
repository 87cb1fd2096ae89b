"""What an attribute may be. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from mooring.devices.attributes.keys import key_of
from mooring.devices.attributes.model import NAMED, Value
from mooring.dialects import check_text
from mooring.errors import Invalid

__all__ = [
    "NAME_MAX",
    "NUMBER_MAX",
    "PACKET_MAX",
    "PACKET_MIN",
    "TAGS_MAX",
    "TAG_MAX",
    "TEXT_MAX",
    "WORD_MAX",
    "check_name",
    "checked",
    "checked_all",
]

NAME_MAX = 64  # characters of the name of a free attribute
WORD_MAX = 128  # characters of type and hardware
TEXT_MAX = 256  # characters of a free attribute's text
TAGS_MAX = 32
TAG_MAX = 64  # characters of a tag
NUMBER_MAX = 9_007_199_254_740_991  # a larger whole number is not exact in every program
PACKET_MIN, PACKET_MAX = 64, 268_435_455  # bytes; the larger one is MQTT's own

_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_.-]{{0,{NAME_MAX - 1}}}")
_TAKEN = frozenset(
    (
        *("id", "name", "device", "tenant", "dialect", "label", "mac", "groups", "username"),
        *("client_id", "enabled", "created_at", "firmware", "presence", "tag", "group", "added"),
        *("last_seen_at", "silent_for", "problem", "search", "connected"),
    )
)
"""Names of what a device has besides; a search would not know which one is meant."""


def check_name(name: str) -> None:
    """Raises ``Invalid`` (``invalid_attribute``) unless an attribute may have this name."""
    if _NAME.fullmatch(name) is None:
        raise _wrong(
            name,
            "is not a valid name of an attribute",
            f"Use up to {NAME_MAX} letters, digits and _ . - and begin with a letter.",
        )
    if name in _TAKEN:
        raise _wrong(
            name, "is not an attribute: every device has one already", "Choose another name."
        )


def checked(name: str, value: object) -> Value:
    """The value as it is stored.

    Raises:
        Invalid: ``invalid_attribute``: the name or the value is not valid.
    """
    check_name(name)
    own = _FORMS.get(name)
    if own is not None:
        return own(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(name, value)
    return _text(name, value, TEXT_MAX)


def checked_all(values: Mapping[str, object]) -> dict[str, Value]:
    """``checked`` for each.

    Raises:
        Invalid: as ``checked``.
    """
    return {name: checked(name, value) for name, value in values.items()}


def _text(name: str, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise _wrong(name, f"cannot be {_shown(value)}", "Use a text, a number or true or false.")
    text = value.strip()
    if not text:
        raise _wrong(name, "has an empty value", "To remove an attribute, unset it.")
    if len(text) > most:
        raise _wrong(
            name, f"has {len(text)} characters; {most} are allowed", "Choose a shorter value."
        )
    check_text(text, f"attribute {name}")
    return text


def _number(name: str, value: float) -> int | float:
    if not math.isfinite(value) or abs(value) > NUMBER_MAX:
        raise _wrong(
            name,
            f"cannot be {_shown(value)}",
            f"Use a number from {-NUMBER_MAX} to {NUMBER_MAX}, or a text.",
        )
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _tags(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise _wrong("tags", f"cannot be {_shown(value)}", "Use a list of texts.")
    found: dict[str, str] = {}
    for tag in value:
        text = _text("tags", tag, TAG_MAX)
        if "," in text or ";" in text:
            raise _wrong("tags", f"cannot have the tag {text!a}", "Use tags without , and ;.")
        found.setdefault(key_of(text), text)
    if len(found) > TAGS_MAX:
        raise _wrong("tags", f"has {len(found)} tags; {TAGS_MAX} are allowed", "Use fewer tags.")
    if not found:
        raise _wrong("tags", "has an empty value", "To remove an attribute, unset it.")
    return tuple(found[key] for key in sorted(found))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(value: object) -> str:
    if isinstance(value, str) and value in _zones():
        return value
    raise _wrong(
        "timezone",
        f"cannot be {_shown(value)}",
        "Use a name of the IANA time zone database, for example Europe/Berlin.",
    )


def _position(value: object) -> tuple[float, float]:
    hint = 'Use degrees in WGS 84, for example {"lat": 52.52, "lon": 13.405}.'
    pair: tuple[Any, Any] | None = None
    if isinstance(value, Mapping) and set(value) == {"lat", "lon"}:
        pair = (value["lat"], value["lon"])
    elif isinstance(value, list | tuple) and len(value) == 2:
        pair = (value[0], value[1])
    if pair is None or any(isinstance(n, bool) or not isinstance(n, int | float) for n in pair):
        raise _wrong("position", f"cannot be {_shown(value)}", hint)
    lat, lon = pair
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):  # also not for NaN
        raise _wrong("position", f"cannot be {_shown(value)}", hint)
    return float(lat), float(lon)


def _packet(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and PACKET_MIN <= value <= PACKET_MAX:
        return value
    raise _wrong(
        "max_packet",
        f"cannot be {_shown(value)}",
        f"Use a number of bytes from {PACKET_MIN} to {PACKET_MAX}.",
    )


_FORMS: Mapping[str, Callable[[object], Value]] = {
    "type": lambda value: _text("type", value, WORD_MAX),
    "hardware": lambda value: _text("hardware", value, WORD_MAX),
    "tags": _tags,
    "timezone": _timezone,
    "position": _position,
    "max_packet": _packet,
}


def _shown(value: object) -> str:
    return f"{value!a:.80}"


def _wrong(name: str, why: str, hint: str) -> Invalid:
    what = f"The attribute {name}" if name in NAMED else f"The attribute {name[:NAME_MAX]!a}"
    return Invalid(f"{what} {why}.", hint=hint, code="invalid_attribute")
