"""The parts that write live messages, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from mooring.downlink.protocol import LiveOwner, Standing, Taken

__all__ = ["Follower", "LiveOwners"]


class Follower(Protocol):
    """A part whose live messages are few, and are never repeated."""

    def taken(self, connection: Connection, taken: Sequence[Taken], at: int) -> None:
        """Within the transaction that records it. Messages of other parts are among them."""
        ...


@dataclass(frozen=True, slots=True)
class LiveOwners:
    """One owner that decides on room and repeats, and others that follow what was handed over."""

    first: LiveOwner
    others: Sequence[Follower]

    def standing(self, connection: Connection, devices: Sequence[int]) -> Mapping[int, Standing]:
        return self.first.standing(connection, devices)

    def ended(self, connection: Connection, sessions: Mapping[int, str], at: int) -> set[int]:
        return self.first.ended(connection, sessions, at)

    def taken(self, connection: Connection, taken: Sequence[Taken], at: int) -> None:
        self.first.taken(connection, taken, at)
        for one in self.others:
            one.taken(connection, taken, at)
