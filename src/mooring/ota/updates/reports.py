"""What devices report of updates, in the words of their firmware. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from mooring.dialects import meaning
from mooring.dialects.model import Channel
from mooring.dialects.payload import look_up
from mooring.ota.updates.model import Code, Kind
from mooring.ota.updates.rules import Event, Said

__all__ = ["LOG_MAX", "WORDS_MAX", "Heard", "code_of", "cut", "heard"]

WORDS_MAX = 4_096
"""Bytes kept of what a device reports of a failure."""
LOG_MAX = 65_536
"""Bytes kept of the log that it sends with it; the newest."""

_WORDS: Mapping[Event, str] = {
    Event.DOWNLOADING: """accepted download downloading in_progress progress received receiving
        resuming running started starting""",
    Event.INSTALLING: """applying downloaded flashing install installing updating verifying
        writing""",
    Event.REBOOTING: "reboot rebooting restart restarting",
    Event.INSTALLED: """complete completed confirmed done finished installed ok success succeeded
        successful updated""",
    Event.DEFERRED: "defer deferred later postponed snoozed",
    Event.FAILED: """error fail failed failure reverted rolled_back rollback""",
    Event.REJECTED: "denied invalid refused rejected unsupported",
    Event.CANCELLED: "aborted canceled cancelled",
}
_STATES = {word: event for event, words in _WORDS.items() for word in words.split()}
_STATE_KEYS = ("state", "status", "phase", "stage", "event", "result")
_PERCENT_KEYS = ("percent", "progress", "percentage", "pct")
_ERROR_KEYS = ("error", "message", "reason", "detail", "details")
_CODE_KEYS = ("code", "error_code", "errorCode")
_LATER_KEYS = ("seconds", "retry_after", "retryAfter", "defer_seconds", "later_seconds", "delay")
_KINDS = {"firmware": Kind.FIRMWARE, "filesystem": Kind.FILESYSTEM, "spiffs": Kind.FILESYSTEM}
_ENDED = frozenset({Event.FAILED, Event.REJECTED, Event.CANCELLED})

_SIGNS = (
    (Code.NO_SPACE, r"no space|not enough (?:space|memory)|disk (?:is )?full|enospc|too large"),
    (Code.SIGNATURE, r"signatur|signed|public key"),
    (Code.DIGEST, r"digest|sha-?256|checksum|hash|md5|truncat"),
    (Code.DOWNGRADE, r"downgrade|older version|security.version"),
    (Code.HARDWARE, r"hardware|wrong (?:chip|board)|chip id"),
    (Code.LINK, r"\b410\b|link.{0,20}expired|expired.{0,20}link|link_expired"),
    (Code.HTTP_4XX, r"\b4\d\d\b"),
    (Code.HEALTH, r"health|came back with|rolled back|roll-?back"),
    (Code.NETWORK, r"network|time-?d? ?out|connect|resolve|dns|socket|could not be fetched"),
    (Code.INSTALL, r"install|flash|partition|write|ota_(?:begin|end)"),
    (Code.REFUSED, r"refus|reject|another update|busy|not allowed"),
)
_FOUND = tuple((code, re.compile(sign, re.IGNORECASE)) for code, sign in _SIGNS)


class Heard(NamedTuple):
    """A report, and which update it is about.

    Attributes:
        uid: the id of the offer; ``None``: it names none.
        version: the version it names, which does not prove what runs.
        kind: what is updated, where it says.
    """

    said: Said
    uid: str | None
    version: str | None
    kind: Kind | None


def heard(
    channel: Channel, body: Mapping[str, Any] | None, *, own_time: int | None, at: int
) -> Heard | None:
    """A message on a channel for progress; ``None``: it says nothing of an update.

    Args:
        own_time: the device's own time; ``None``: it gave none.
        at: when it arrived.
    """
    if body is None:
        return None
    shape = channel.payload
    inner = look_up(body, shape.values) if shape.values else body
    found: Mapping[str, Any] = {**body, **inner} if isinstance(inner, dict) else body
    percent = _percent(found)
    word = meaning.outcome(shape, body)
    event = _event(word, found, percent)
    if event is None:
        return None
    words = meaning.error(shape, body) or _text(found, _ERROR_KEYS)
    if event is Event.DOWNLOADING and words and "error" in found:
        event = Event.FAILED if word is None and percent is None else event
    ended = event in _ENDED
    said = Said(
        event,
        code=code_of(found, words, rejected=event is Event.REJECTED) if ended else "",
        words=cut(words, WORDS_MAX) if ended or event is Event.DEFERRED else "",
        log=_log(found),
        percent=percent,
        ts=own_time,
        later_ms=_later_ms(found, at) if event is Event.DEFERRED else None,
    )
    version = found.get("version")
    uid = meaning.reply_to(shape, body) or _text(found, ("id",)) or None
    return Heard(
        said,
        uid,
        version if isinstance(version, str) and version else None,
        _KINDS.get(str(found.get("kind") or found.get("type") or "").lower()),
    )


def _event(word: bool | str | None, found: Mapping[str, Any], percent: int | None) -> Event | None:
    if isinstance(word, bool):
        return Event.INSTALLED if word else Event.FAILED
    words = [word] if word else []
    words += [found[key] for key in _STATE_KEYS if isinstance(found.get(key), str)]
    for one in words:
        plain = one.strip().lower().replace(" ", "_").replace("-", "_")
        if plain in _STATES:
            return _STATES[plain]
    if isinstance(found.get("error"), str) and found["error"]:
        return Event.FAILED
    return None if percent is None else Event.DOWNLOADING


def code_of(found: Mapping[str, Any], words: str, *, rejected: bool = False) -> str:
    """The platform's code for what a device reports: its own, if that is one, or by its words."""
    for key in _CODE_KEYS:
        value = found.get(key)
        if isinstance(value, str) and value.strip().lower() in set(Code):
            return Code(value.strip().lower())
    said = " ".join(str(found[key]) for key in _CODE_KEYS if key in found) + f" {words}"
    for code, sign in _FOUND:
        if sign.search(said[:WORDS_MAX]):
            return code
    return Code.REFUSED if rejected else Code.UNKNOWN


def cut(text: str, most: int) -> str:
    """A text of at most ``most`` bytes in UTF-8, as both databases can store it."""
    plain = text.replace("\0", "\ufffd").encode(errors="replace")
    return plain.decode() if len(plain) <= most else plain[: most - 3].decode(errors="ignore") + "…"


def _log(found: Mapping[str, Any]) -> str:
    value = found.get("log")
    if isinstance(value, list):
        value = "\n".join(str(line) for line in value)
    if not isinstance(value, str):
        return ""
    plain = value.replace("\0", "\ufffd").encode(errors="replace")
    return plain[-LOG_MAX:].decode(errors="ignore")


def _text(found: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = found.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def _percent(found: Mapping[str, Any]) -> int | None:
    for key in _PERCENT_KEYS:
        value = found.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return int(min(100, max(0, value)))
    return None


def _later_ms(found: Mapping[str, Any], at: int) -> int | None:
    for key in _LATER_KEYS:
        value = found.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return int(min(max(0.0, float(value)), 1e9) * 1000)
    until = found.get("until")
    if isinstance(until, int) and not isinstance(until, bool):
        return max(0, (until if until > 10**11 else until * 1000) - at)
    return None
