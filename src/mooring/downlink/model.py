"""Downlinks as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mooring.downlink.rules import State, Until

__all__ = ["Claimed", "Delivery", "Downlink", "NewDownlink", "Written"]


@dataclass(frozen=True, slots=True)
class NewDownlink:
    """A message to write. Times are epoch milliseconds.

    Attributes:
        topic: where it goes; checked by ``Downlinks.put``.
        payload: its bytes; ``secret`` ones are encrypted with the instance key.
        tenant: whose it is; empty for a topic of several tenants.
        origin: the part that writes it, one word: "command", "rotation".
        expires_at: after this it is not sent any more, and the broker drops its copy.
        device_id: the device; ``None`` for a topic of several devices.
        qos: 1 or 2; 0 counts as 1, for the platform is to know that the broker has it.
        until: when it is done.
        not_before: the earliest time; ``None``: now.
        dedupe: while one with the same text is open for the device, no second one is written.
        reason: why, for people.
    """

    topic: str
    payload: bytes = field(repr=False)
    tenant: str
    origin: str
    expires_at: int
    device_id: int | None = None
    qos: int = 1
    retain: bool = False
    secret: bool = False
    until: Until = Until.TAKEN
    not_before: int | None = None
    dedupe: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The number of a downlink; ``again``: it was there already."""

    id: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the sender needs of a row it has marked; ``attempts`` counts this attempt."""

    id: int
    device_id: int | None
    topic: str
    payload: bytes = field(repr=False)
    sealed: bool
    qos: int
    retain: bool
    until: Until
    attempts: int
    losses: int
    expires_at: int
    sent_at: int


class Delivery(StrEnum):
    """What is known of whether a message has left."""

    PENDING = "pending"
    DONE = "done"  # the broker has it, or may have it
    NONE = "none"  # it surely has not reached the device, and will not


@dataclass(frozen=True, slots=True)
class Downlink:
    """One row as it is shown. Times are epoch milliseconds."""

    id: int
    topic: str
    qos: int
    until: Until
    state: State
    attempts: int
    created_at: int
    next_at: int
    expires_at: int
    sent_at: int | None
    finished_at: int | None
    origin: str
    reason: str
    error: str

    @property
    def delivery(self) -> Delivery:
        """Whether it has left."""
        if not self.over:
            return Delivery.PENDING
        # An attempt before the last one may have arrived, whatever became of the last one.
        never = self.attempts == 0 or (self.state is State.UNHEARD and self.attempts == 1)
        return Delivery.NONE if never else Delivery.DONE

    @property
    def over(self) -> bool:
        return self.finished_at is not None
