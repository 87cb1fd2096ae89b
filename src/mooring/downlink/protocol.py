"""What the sender asks of the part that writes live messages, and of the gate before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

__all__ = ["Asked", "Gate", "Listening", "LiveOwner", "Standing", "Taken"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A live message, and the device that must listen before it is sent."""

    id: int
    device_id: int
    username: str
    topic: str


@dataclass(frozen=True, slots=True)
class Listening:
    """A device listens.

    Attributes:
        evidence: what is known, for people.
        session: which session it is; empty where that is not known.
    """

    evidence: str
    session: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A live message that the broker has taken, or may have taken.

    Attributes:
        id: of the downlink.
        device_id: its device.
        sent_at: when the attempt began, epoch milliseconds.
        evidence: what is known, for people.
        session: as in ``Listening``.
    """

    id: int
    device_id: int
    sent_at: int
    evidence: str
    session: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a device has been handed.

    Attributes:
        room: how many more live messages it may be handed now.
        sessions: those in which it was handed what has no outcome and may be repeated.
    """

    room: int
    sessions: frozenset[str] = frozenset()


class Gate(Protocol):
    """Knows whether a device is connected and subscribed to a topic now."""

    async def listening(self, asked: Sequence[Asked]) -> Mapping[int, Listening]:
        """Those whose device listens, by their numbers.

        Raises:
            BrokerUnavailable: it cannot be known now.
        """
        ...


class LiveOwner(Protocol):
    """The part that writes live messages."""

    def standing(self, connection: Connection, devices: Sequence[int]) -> Mapping[int, Standing]:
        """What each of these devices has been handed."""
        ...

    def ended(self, connection: Connection, sessions: Mapping[int, str], at: int) -> set[int]:
        """Queues again what was handed over in an earlier session and may be repeated; the
        devices it concerns, whose later messages wait for it. Asked for devices whose
        ``Standing`` has an earlier session.

        Args:
            sessions: device → the session that it listens in now.
        """
        ...

    def taken(self, connection: Connection, taken: Sequence[Taken], at: int) -> None:
        """Within the transaction that records it."""
        ...
