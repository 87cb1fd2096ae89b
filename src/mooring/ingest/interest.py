"""What projections want of a channel, worked out once a topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mooring.dialects.model import Channel

__all__ = ["NO_INTEREST", "Interest", "Interests"]


@dataclass(frozen=True, slots=True)
class Interest:
    """What projections want of one channel. A slot is a projection's place in their list.

    Attributes:
        each: for each message: slot, the keys of which it must have one (``None``: any message),
            and whether a retained one counts.
        newest: slots that get the newest message of each topic and batch.
        heard: slots that get messages that became dead letters.
        watched: whether one of them gets only messages that are really added.
    """

    each: tuple[tuple[int, tuple[str, ...] | None, bool], ...] = ()
    newest: tuple[int, ...] = ()
    heard: tuple[int, ...] = ()
    watched: bool = False


NO_INTEREST = Interest()


class Interests(Protocol):
    """Projections, as far as routing knows them."""

    def __len__(self) -> int: ...

    def interest(self, channel: Channel) -> Interest: ...
