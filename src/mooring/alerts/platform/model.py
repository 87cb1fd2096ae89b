"""What the platform checks, and what a check finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import Connection

from mooring.alerts.model import Raise, Severity, Source, platform_key
from mooring.settings import Settings

__all__ = ["MOST", "Check", "Found", "Look", "raise_of"]

MOST = 10_000
"""Things that one check finds at a time."""


class Found(NamedTuple):
    """One thing that a check finds.

    Attributes:
        subject: what tells it from others that the check finds: a device, a certificate.
        value: what was measured; it does not make another alert.
    """

    subject: str
    severity: Severity
    message: str
    tenant: str | None = None
    device_id: int | None = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a check may use.

    Attributes:
        at: epoch milliseconds.
        disk: total and free bytes of a folder's file system.
        counters: of the platform, now and about ten minutes ago.
    """

    connection: Connection
    settings: Settings
    at: int
    disk: Callable[[Path], tuple[int, int]]
    counters: dict[str, int]
    counters_before: dict[str, int]


class Check(NamedTuple):
    """One kind of alert.

    Attributes:
        name: of its alerts, and in the documentation.
        every_ms: between two looks.
        hold_ms: for how long it must be so.
        question: for ``Lookout``: whether it may find something, or has an open alert. For a check
            that is made so often that most of its looks should cost nothing.
    """

    name: str
    every_ms: int
    find: Callable[[Look], Sequence[Found]]
    hold_ms: int = 0
    question: str = ""


def raise_of(check: Check, found: Found, at: int) -> Raise:
    return Raise(
        key=platform_key(check.name, found.subject),
        tenant=found.tenant,
        device_id=found.device_id,
        source=Source.PLATFORM,
        name=check.name,
        severity=found.severity,
        at=at,
        message=found.message,
        value=found.value,
    )
