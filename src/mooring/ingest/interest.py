"""What projections want of a channel, worked out once a topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from mooring.dialects.model import Channel

__all__ = ["NO_INTEREST", "Each", "Interest", "Interests", "Repeat"]


class Each(NamedTuple):
    """What one projection wants of each message.

    Attributes:
        keys: of which it must have one; ``None``: any message.
        also_retained: whether one counts that the broker had kept.
    """

    slot: int
    keys: tuple[str, ...] | None
    also_retained: bool


class Repeat(NamedTuple):
    """Messages that mostly say the same again: see ``projection.Repeating``.

    Attributes:
        slots: of the projections that want them.
        key: under which they say it.
    """

    slots: tuple[int, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Interest:
    """What projections want of one channel. A slot is a projection's place in their list.

    Attributes:
        each: for each message.
        repeat: for messages that are kept only where they say something else.
        newest: slots that get the newest message of each topic and batch.
        heard: slots that get messages that became dead letters.
        watched: whether one of them gets only messages that are really added.
        slots: those of ``each``.
    """

    each: tuple[Each, ...] = ()
    repeat: Repeat | None = None
    newest: tuple[int, ...] = ()
    heard: tuple[int, ...] = ()
    watched: bool = False
    slots: frozenset[int] = frozenset()


NO_INTEREST = Interest()


class Interests(Protocol):
    """Projections, as far as routing knows them."""

    def __len__(self) -> int: ...

    def interest(self, channel: Channel) -> Interest: ...
