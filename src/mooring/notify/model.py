"""Recipients and notifications as values. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mooring.notify.quiet import Quiet

__all__ = [
    "CRITICAL",
    "FAILURES_MAX",
    "SEVERITIES",
    "WARNING",
    "Kind",
    "Notification",
    "Options",
    "Recipient",
    "State",
    "word_of",
]

SEVERITIES: Final = ("info", "warning", "error", "critical")
"""Words of the severities 1 to 4, as alerts store them."""
WARNING, CRITICAL = 2, 4

FAILURES_MAX: Final = 10
"""Failed attempts in a row after which the platform raises ``recipient_failing``."""


class Kind(StrEnum):
    """How a recipient is reached."""

    APPRISE = "apprise"  # chats and e-mail
    WEBHOOK = "webhook"
    ALERTMANAGER = "alertmanager"


class State(StrEnum):
    """Of a notification on its way to one recipient."""

    WAITING = "waiting"  # for its first or its next attempt
    SENT = "sent"
    FAILED = "failed"  # given up


@dataclass(frozen=True, slots=True)
class Options:
    """What a recipient gets, and when.

    Attributes:
        severity: the least severe alerts.
        alerts: names of alerts, with ``*`` for any characters; empty: all.
        devices: names of devices, the same; empty: all, and alerts without a device.
        quiet: times in which only critical alerts are sent.
        wait_seconds: how long the first alert of a group waits for others.
        interval_seconds: between two notifications of a group.
        repeat_seconds: until an open alert is sent again.
        cleared: whether the end of an alert is sent.
    """

    severity: int = WARNING
    alerts: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    quiet: tuple[Quiet, ...] = ()
    wait_seconds: int = 30
    interval_seconds: int = 300
    repeat_seconds: int = 14_400
    cleared: bool = True


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a tenant.

    Attributes:
        target: where notifications go, without its secrets.
        private: an administrator allows addresses of private networks.
        platform: also gets alerts of the platform itself.
        why_off: why Mooring switched it off; empty when it did not.
        failures: failed attempts in a row.
    """

    id: int
    tenant: str
    name: str
    kind: Kind
    target: str
    enabled: bool
    private: bool
    platform: bool
    why_off: str
    failures: int
    last_error: str
    last_failed_at: int | None
    last_sent_at: int | None
    created_at: int
    updated_at: int
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification to one recipient, as its history shows it.

    Attributes:
        message_id: the same in every attempt.
        alerts: how many alerts it is about.
        unanswered: attempts that the receiver did not answer in time.
    """

    id: int
    message_id: str
    state: State
    title: str
    alerts: int
    created_at: int
    finished_at: int | None
    next_at: int | None
    attempts: int
    unanswered: int
    last_error: str


def word_of(severity: int) -> str:
    """``critical`` for 4."""
    return SEVERITIES[severity - 1]
