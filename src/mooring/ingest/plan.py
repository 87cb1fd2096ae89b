"""What one transaction has to write: values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from mooring.dialects.payload import Decoded
from mooring.ingest.facts import Fact
from mooring.ingest.routing import Route
from mooring.ingest.rows import MessageRow

__all__ = ["REGISTRATION_MAX", "DeadLetter", "Plan", "Retained", "UnknownDevice"]

REGISTRATION_MAX = 2048  # bytes of a registration of an unknown device that are kept


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message, or what follows from one, that cannot be stored."""

    received_at: int
    reason: str
    detail: str
    topic: str
    tenant: str | None
    device_id: int | None
    size: int
    payload: bytes


@dataclass(slots=True)
class UnknownDevice:
    """A device that speaks and was never added, with how often it did in this batch.

    Attributes:
        registered_at: when it asked to be registered; ``None``: it did not.
        registration: the payload of that message, empty if it is longer than
            ``REGISTRATION_MAX`` bytes.
    """

    dialect: str
    tenant: str
    name: str
    at: int
    messages: int
    last_topic: str
    registered_at: int | None = None
    registration: bytes = b""


class Retained(NamedTuple):
    """A message that the broker kept and sends because we have subscribed: it may be old."""

    row: MessageRow
    route: Route
    decoded: Decoded


@dataclass(slots=True)
class Plan:
    """What one transaction writes. Rows are in the order of arrival."""

    messages: list[MessageRow] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)  # of each message, for what is rejected
    newest: dict[Route, tuple[MessageRow, Decoded]] = field(default_factory=dict)
    facts: list[list[Fact]] = field(default_factory=list)  # by projection
    # Places in ``messages`` of those that some projection gets only where they are added.
    watched: list[int] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    unknown: dict[tuple[str, str, str], UnknownDevice] = field(default_factory=dict)
    packets: list[tuple[int, int]] = field(default_factory=list)  # packet id, checksum
    repeated: int = 0  # what is stored already; nothing to write
    passed: int = 0  # further copies of a message, and what the platform itself says
    undeclared: int = 0  # on topics of no dialect, beyond the one that is a dead letter
    cleared: int = 0  # empty messages, by which a retained one is removed from the broker
    limited: int = 0  # dead letters of messages above a limit; also in ``dead`` or ``dropped``
    dropped: int = 0  # dead letters past the budget of their sender
    retained: list[Retained] = field(default_factory=list)  # for ``settle``
    not_numbers: int = 0  # values such as NaN that were left out
    keep_bytes: int = 65_536  # of a payload, in a dead letter
