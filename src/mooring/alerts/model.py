"""Alerts as values. Times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from mooring.clock import now_ms

__all__ = [
    "HISTORY_MAX",
    "LATE_MS",
    "REOPEN_MS",
    "Alert",
    "Bounds",
    "Clear",
    "Entry",
    "Event",
    "Note",
    "Raise",
    "Severity",
    "Source",
    "State",
    "device_key",
    "platform_key",
    "rule_key",
    "severity_of",
]

LATE_MS: Final = 300_000
"""A message that arrives so long after it was made is late: nobody is notified of it."""

REOPEN_MS: Final = 60_000
"""An alert that its source raises again so soon after it cleared it is opened again."""

HISTORY_MAX: Final = 100
"""Entries that an alert's source makes in its history; people may add as many again."""


class Severity(IntEnum):
    """How bad it is; the numbers are stored."""

    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        return self.name.lower()


class Source(StrEnum):
    """Who raises an alert."""

    RULE = "rule"
    DEVICE = "device"
    PLATFORM = "platform"


class State(StrEnum):
    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


class Event(StrEnum):
    """What happens to an alert; also the words of its history."""

    RAISED = "raised"
    REPEATED = "repeated"  # its source raises it again while it is open
    STEPPED_UP = "stepped up"  # it became more severe
    STEPPED_DOWN = "stepped down"
    REOPENED = "reopened"  # raised again shortly after its source cleared it
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"
    # Without an effect on the state.
    SNOOZED = "snoozed"
    ASSIGNED = "assigned"
    SEVERITY = "severity"
    COMMENT = "comment"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Raise:
    """A source finds something.

    Attributes:
        key: what it is about; one alert of a key is open at a time.
        at: when it was noticed.
        late: the message that says so is old.
    """

    key: str
    tenant: str | None
    device_id: int | None
    source: Source
    name: str
    severity: Severity
    at: int
    message: str = ""
    value: str = ""
    rule_id: int | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Clear:
    """Its source finds it no longer.

    Attributes:
        key: of one alert; ``None``: every open alert that ``device_id`` itself has raised.
    """

    key: str | None
    at: int
    detail: str = ""
    device_id: int | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A late reading: an entry in the history of an open alert, and nothing else."""

    key: str
    at: int
    detail: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many alerts there may be; see the settings of the same names."""

    open_per_device: int = 50
    open_per_tenant: int = 10_000
    kept_per_device: int = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an alert's history. ``actor`` is empty for its source."""

    at: int
    event: str
    actor: str
    severity: Severity
    detail: str
    late: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        device: its reference; ``None`` for an alert of the platform itself.
        device_id: ``None`` also once the device is removed.
        rule_id: the number of its rule, which may be gone.
        count: how often its source raised it.
        cleared_by: empty: by its source.
        late: the message that raised it was old; nobody is notified.
        value: what was measured, as text.
    """

    id: int
    key: str
    tenant: str | None
    device_id: int | None
    device: str | None
    source: Source
    rule_id: int | None
    name: str
    severity: Severity
    state: State
    message: str
    value: str
    late: bool
    count: int
    raised_at: int
    updated_at: int
    acknowledged_at: int | None
    acknowledged_by: str
    cleared_at: int | None
    cleared_by: str
    assignee: str
    snoozed_until: int | None
    history: tuple[Entry, ...] = ()

    @property
    def open(self) -> bool:
        return self.state is not State.CLEARED

    @property
    def snoozed(self) -> bool:
        return self.open and self.snoozed_until is not None and self.snoozed_until > now_ms()


def rule_key(rule: int, device: int) -> str:
    return f"rule:{rule}:{device}"


def device_key(device: int, digest: str) -> str:
    """Args: digest: of the alert's whole name, which may be long."""
    return f"device:{device}:{digest}"


def platform_key(name: str, subject: object = "") -> str:
    return f"platform:{name}:{subject}"[:120]


_WORDS: Mapping[str, Severity] = {
    **{severity.word: severity for severity in Severity},
    **dict.fromkeys(("debug", "notice", "low", "minor", "information"), Severity.INFO),
    **dict.fromkeys(("warn", "medium", "moderate"), Severity.WARNING),
    **dict.fromkeys(("err", "high", "major", "severe"), Severity.ERROR),
    **dict.fromkeys(("crit", "fatal", "emergency", "alarm", "urgent"), Severity.CRITICAL),
}


def severity_of(word: object) -> Severity | None:
    """What a firmware's word means; ``None``: it is not a known one."""
    return _WORDS.get(word.strip().lower()) if isinstance(word, str) and len(word) < 40 else None
