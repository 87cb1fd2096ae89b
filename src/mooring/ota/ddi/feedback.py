"""What a device reports of an action, and what it describes of itself. Pure.

Clients differ: only ``execution`` and ``result.finished`` are read as hawkBit defines them; every
other part may be missing or of another type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from mooring.devices.attributes.model import NAMED, Value
from mooring.devices.attributes.rules import checked
from mooring.errors import Invalid
from mooring.ota.updates.model import INSTALL_BEGUN, State, Update
from mooring.ota.updates.reports import code_of, cut
from mooring.ota.updates.rules import Event, Said

__all__ = [
    "CONFIG_MAX",
    "DETAILS_MAX",
    "VERSION_KEYS",
    "Config",
    "Feedback",
    "Mode",
    "config_of",
    "feedback_of",
    "is_repeated",
    "said_of",
]

CONFIG_MAX = 128
"""Values that are read of what a device describes of itself."""
DETAILS_MAX = 128
"""Lines that are read of one report."""
_LINE = 1_024  # characters of one of them
LOG_KEPT = 16_384  # bytes of the words of all reports of one action; the newest
_VERSION = 128  # characters of a version; more is not one

VERSION_KEYS = (
    *("firmware_version", "firmwareVersion", "firmware", "sw_version", "swVersion", "sw-version"),
    *("software_version", "softwareVersion", "installed_version", "installedVersion", "version"),
)
"""How devices name the version that runs in what they describe of themselves, in this order."""

_HARDWARE_KEYS = ("hardware", "hw_revision", "hwRevision", "HwRevision", "board", "compatible")

_EXECUTIONS = frozenset(
    (
        *("closed", "proceeding", "canceled", "cancelled", "scheduled", "rejected", "resumed"),
        *("download", "downloaded", "downloading", "confirmed", "denied"),
    )
)


class Mode(StrEnum):
    """What a description does to an earlier one, in hawkBit's words."""

    MERGE = "merge"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Feedback:
    """A report.

    Attributes:
        execution: one of hawkBit's words.
        finished: ``success``, ``failure`` or ``none``.
        words: its details, one a line.
        percent: where it gives one.
    """

    execution: str
    finished: str
    words: str = ""
    percent: int | None = None

    @property
    def closed(self) -> bool:
        return self.execution == "closed"

    @property
    def failed(self) -> bool:
        return self.finished == "failure"


@dataclass(frozen=True, slots=True)
class Config:
    """What a device describes of itself.

    Attributes:
        mode: what becomes of what it described before.
        version: that it runs; empty: it names none.
        values: by the names of attributes; with ``Mode.REMOVE`` none.
        names: all that it names, valid or not.
        refused: values that are not valid.
    """

    mode: Mode
    version: str
    values: Mapping[str, Value]
    names: frozenset[str]
    refused: int

    def gone(self, own: Iterable[str]) -> set[str]:
        """Those of the device's own attributes that it describes no longer."""
        match self.mode:
            case Mode.MERGE:
                return set()
            case Mode.REPLACE:
                return {name for name in own if name not in self.names}
            case Mode.REMOVE:
                return {name for name in own if name in self.names}

    def version_after(self, before: str) -> str:
        """The version that counts from now on."""
        if self.mode is Mode.MERGE:
            return self.version or before
        if self.mode is Mode.REMOVE and not self.names.intersection(VERSION_KEYS):
            return before
        return self.version


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise Invalid(
            f"The body is not JSON: {exc}.",
            hint="Send a JSON object as hawkBit's DDI defines it.",
            code="bad_feedback",
        ) from exc
    if not isinstance(found, dict):
        raise Invalid(
            "The body is not a JSON object.",
            hint="Send a JSON object as hawkBit's DDI defines it.",
            code="bad_feedback",
        )
    return found


def feedback_of(body: bytes) -> Feedback:
    """Raises ``Invalid`` (``bad_feedback``): it is not a report."""
    status = _object(body).get("status")
    status = status if isinstance(status, dict) else {}
    execution = status.get("execution")
    if not isinstance(execution, str) or execution.lower() not in _EXECUTIONS:
        raise Invalid(
            "The report has no `status.execution` that hawkBit's DDI knows.",
            hint="Send closed, proceeding, canceled, scheduled, rejected, resumed, download or "
            "downloaded.",
            code="bad_feedback",
        )
    result = status.get("result")
    result = result if isinstance(result, dict) else {}
    finished = result.get("finished")
    progress = result.get("progress")
    return Feedback(
        execution.lower(),
        finished if finished in ("success", "failure") else "none",
        _words(status.get("details")),
        _percent(progress if isinstance(progress, dict) else {}),
    )


def _words(details: object) -> str:
    lines = details if isinstance(details, list) else [details]
    texts = [one.strip()[:_LINE] for one in lines[-DETAILS_MAX:] if isinstance(one, str)]
    return "\n".join(one for one in texts if one)


def _percent(progress: Mapping[str, Any]) -> int | None:
    def number(name: str) -> float | None:
        value = progress.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if math.isfinite(value) else None

    percent = number("percentage")
    if percent is None:
        done, of = number("cnt"), number("of")
        if done is None or of is None or of <= 1 or done < 0:  # steps, not shares
            return None
        percent = 100 * done / of
    return int(min(100.0, max(0.0, percent)))


def said_of(feedback: Feedback, update: Update) -> Said | None:
    """What a report says of an update; ``None``: only words for its log."""
    words = feedback.words
    log = _newest(f"{update.log}\n{words}" if update.log and words else words)
    if feedback.closed and feedback.failed:
        code = code_of({}, f"{words}\n{update.log}")
        return Said(Event.FAILED, code, words or update.log[-_LINE:], log)
    event = _event(feedback, update)
    if event is None:
        return None
    ended = event in (Event.REJECTED, Event.CANCELLED)
    return Said(
        event,
        code=code_of({}, words, rejected=True) if event is Event.REJECTED else "",
        words=words if ended else "",
        log=log,
        percent=feedback.percent if event is Event.DOWNLOADING else None,
    )


_EVENTS = {
    "closed": Event.INSTALLED,
    "rejected": Event.REJECTED,
    "denied": Event.REJECTED,
    "canceled": Event.CANCELLED,
    "cancelled": Event.CANCELLED,
    "downloaded": Event.INSTALLING,
    "scheduled": None,
    "confirmed": None,
}


def _event(feedback: Feedback, update: Update) -> Event | None:
    if feedback.execution in _EVENTS:
        return _EVENTS[feedback.execution]
    if update.state is State.INSTALLED:
        return None
    if update.state in INSTALL_BEGUN or update.served >= update.size > 0:
        return Event.INSTALLING  # the file has been served: it does not download again
    return Event.DOWNLOADING


def _newest(text: str) -> str:
    plain = text.replace("\0", "\ufffd").encode(errors="replace")
    return plain[-LOG_KEPT:].decode(errors="ignore")


def is_repeated(feedback: Feedback, update: Update) -> bool:
    """Whether a report about an update that is over says what is known already: its answer may
    have been lost."""
    if not feedback.closed:
        return False
    if feedback.failed:
        return update.state is State.FAILED
    return update.state in (State.CONFIRMED, State.UNPROVED)


def config_of(body: bytes) -> Config:
    """What a device describes of itself.

    Raises:
        Invalid: ``bad_feedback``: it is not a JSON object.
    """
    given = _object(body)
    data = given.get("data")
    data = data if isinstance(data, dict) else {}
    mode = given.get("mode")
    mode = Mode(mode) if isinstance(mode, str) and mode in frozenset(Mode) else Mode.MERGE
    if mode is Mode.REMOVE:
        return Config(mode, "", {}, _names(data), max(0, len(data) - CONFIG_MAX))
    version = next((_text(data[key]) for key in VERSION_KEYS if _text(data.get(key))), "")
    values: dict[str, Value] = {}
    refused = max(0, len(data) - CONFIG_MAX)
    hardware = next((_text(data[key]) for key in _HARDWARE_KEYS if _text(data.get(key))), "")
    said = dict(list(data.items())[:CONFIG_MAX])
    if hardware:
        said["hardware"] = hardware
    for name, value in said.items():
        if name in VERSION_KEYS or (name in NAMED and name not in ("hardware", "type")):
            continue
        try:
            values[name] = checked(name, value)
        except Invalid:  # it costs that value; it is counted
            refused += 1
    return Config(mode, version, values, _names(data), refused)


def _names(data: Mapping[str, Any]) -> frozenset[str]:
    """What it names of itself, with the attribute that other words for the hardware are."""
    found = frozenset(list(data)[:CONFIG_MAX])
    return found | {"hardware"} if found.intersection(_HARDWARE_KEYS) else found


def _text(value: object) -> str:
    return cut(value.strip(), _VERSION) if isinstance(value, str) else ""
