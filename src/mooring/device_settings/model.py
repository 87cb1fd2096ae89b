"""Settings of devices as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from mooring.device_settings.rules import NO_RECORD, Record

__all__ = [
    "Cause",
    "Change",
    "DeviceView",
    "Guard",
    "HistoryEntry",
    "Key",
    "Level",
    "LevelRow",
    "LevelView",
    "Row",
    "Whole",
]


class Level(StrEnum):
    """Where settings are set, the most general level first."""

    TENANT = "tenant"
    DIALECT = "dialect"
    TYPE = "type"
    GROUP = "group"
    DEVICE = "device"


class Key(NamedTuple):
    """One place of a level. ``name`` is empty for the tenant, and a device's number as text."""

    tenant: str
    level: Level
    name: str

    def __str__(self) -> str:
        return f"{self.level} {self.name or self.tenant}"


@dataclass(frozen=True, slots=True)
class Guard:
    """A change that is taken back unless the device confirms it. Times are epoch milliseconds.

    Attributes:
        since: when the change was made; until: when it is taken back.
        version: the version of the device's settings that it made.
        session: when the session began in which the device got it; ``None``: not known yet.
        document: what the level goes back to.
    """

    since: int
    until: int
    version: int
    document: Mapping[str, Any] = field(repr=False)
    session: int | None = None


@dataclass(frozen=True, slots=True)
class LevelRow:
    """What one level says.

    Attributes:
        version: of this level alone; 0: nothing was ever set.
        schema: without references, as ``schemas.check_schema`` gives it.
        pending: whether not all devices have the newest version yet.
    """

    key: Key
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    version: int = 0
    priority: int = 0
    schema: bytes | None = field(default=None, repr=False)
    updated_at: int | None = None
    updated_by: str = ""
    reason: str = ""
    pending: bool = False
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What is stored about one device, besides its own level.

    Attributes:
        document: the merged one of ``record.version``.
        topic: where the newest version is retained; downlink: or the message that carries it.
        placed: the version that was handed over; 0: none is.
        problem: why a newer merged document is not sent.
    """

    device_id: int
    record: Record = NO_RECORD
    document: Mapping[str, Any] | None = field(default=None, repr=False)
    changed_at: int | None = None
    sent_at: int | None = None
    topic: str | None = None
    downlink: int | None = None
    placed: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """Who changed what, and why."""

    actor: str
    what: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """How a document is changed.

    Attributes:
        document: a merge patch, or the whole document.
        whole: whether it replaces what is there.
        if_match: the versions of which one must still be there; ``None``: any.
        guard_ms: unless the device confirms it within this time, the change is taken back;
            0: not guarded.
    """

    document: Mapping[str, Any] = field(repr=False)
    whole: bool = False
    if_match: frozenset[str] | None = None
    guard_ms: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One version. ``at`` in epoch milliseconds; secret fields of ``document`` are masked."""

    version: int
    at: int
    cause: Cause
    document: Mapping[str, Any]


class Whole(NamedTuple):
    """The merged document of a device, and the levels it came from."""

    document: Mapping[str, Any]
    levels: tuple[LevelRow, ...]


@dataclass(frozen=True, slots=True)
class DeviceView:
    """What is shown of a device's settings. Secret fields are masked.

    Attributes:
        row: state and times.
        document: the desired one, merged; own: what the device's own level adds.
        reported: what the device runs with; ``None``: it has not reported it.
        differs: whether that is another document than the desired one.
        reports: whether the device's dialect can report settings.
        levels: those that apply, the most general one first.
    """

    row: Row
    document: Mapping[str, Any]
    own: LevelRow
    reported: Mapping[str, Any] | None
    differs: bool
    reports: bool
    levels: tuple[LevelRow, ...]

    @property
    def etag(self) -> str:
        """Another one after every change."""
        return f"{self.row.record.version}.{self.own.version}"


@dataclass(frozen=True, slots=True)
class LevelView:
    """One level as it is shown; secret fields are masked."""

    row: LevelRow

    @property
    def etag(self) -> str:
        return str(self.row.version)
