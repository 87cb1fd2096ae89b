"""Values of what devices sent. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from mooring.dialects import Scalar

__all__ = [
    "DeadLetter",
    "DeviceLatest",
    "Key",
    "Overview",
    "Page",
    "Point",
    "ProcessInfo",
    "Reading",
    "Stranger",
    "WorkerInfo",
]

T = TypeVar("T")

Key = tuple[int | str, ...]  # where a page ended: the sort key of its last row


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A piece of a longer list. ``next`` is given back to get what follows; ``None``: the end."""

    items: list[T]
    next: Key | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One message of a device.

    Attributes:
        channel, kind: what it was said on, and what that means.
        ts: the device's time, or the receive time where that is not to be had.
        time_source: ``device``, ``received`` (it gave no time) or ``implausible`` (it gave
            one that cannot be).
        values: metric → value, flattened as the dialect's payload shape says.
        payload: the payload as it was sent: parsed JSON, or text.
        id, seq: the number of the stored row and the device's sequence number (history only).
    """

    channel: str
    kind: str
    ts: int
    received_at: int
    time_source: str
    values: dict[str, Scalar]
    payload: Any
    id: int | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one metric."""

    ts: int
    value: Scalar
    channel: str
    received_at: int
    time_source: str


@dataclass(frozen=True, slots=True)
class DeviceLatest:
    """The newest message of each channel of one device, and whether it is there."""

    id: int
    tenant: str
    name: str
    label: str
    dialect: str
    last_seen_at: int | None
    online: bool | None
    connected: bool | None
    firmware: str | None
    readings: list[Reading] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be stored as telemetry, and why.

    ``payload`` holds its first bytes, ``size`` says how many it had.
    """

    id: int
    received_at: int
    reason: str
    detail: str
    topic: str
    tenant: str | None
    device: str | None
    size: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Stranger:
    """A device that speaks but was never added."""

    dialect: str
    tenant: str
    name: str
    first_seen_at: int
    last_seen_at: int
    messages: int
    last_topic: str


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker of a process, as the process reported it last.

    Attributes:
        phase: ``running``, ``waiting`` (it failed and runs again), ``done``, ``stopped``.
        failures: since the process started; ``failures_in_a_row``: 0 once it runs well again.
        error: what the last failure said; empty if none existed.
        rows_postponed: rows that failed and are tried again later.
        row_failures: failures of single rows since the process started.
        row_error: what one of them said last.
    """

    name: str
    phase: str
    failures: int = 0
    failures_in_a_row: int = 0
    error: str = ""
    rows_postponed: int = 0
    row_failures: int = 0
    row_error: str = ""


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process that reports that it runs; ``alive`` if it reported recently."""

    name: str
    role: str
    pid: int
    host: str
    started_at: int
    beat_at: int
    alive: bool
    detail: dict[str, Any]
    workers: list[WorkerInfo] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Overview:
    """Figures for ``status``.

    Attributes:
        devices, online, connected, strangers, dead_letters: of the actor's tenant or all;
            the last one is what is kept, counted up to ``DEAD_LETTERS_COUNTED``.
        counters: the platform's counters (``messages_stored`` …); empty for an actor of one
            tenant, like everything below.
        broker_changes_pending: changes that the broker has not applied yet.
        broker_changes_error: the newest reason why one could not be applied; empty when none.
        downlinks_open: messages to devices that are not over.
        processes: what runs.
    """

    devices: int
    online: int
    connected: int
    strangers: int
    dead_letters: int
    counters: dict[str, int]
    broker_changes_pending: int
    broker_changes_error: str
    downlinks_open: int
    processes: list[ProcessInfo]
