"""The frame for what a message changes besides itself.

A domain derives its tables from messages by a ``Projection``: it says which messages it wants,
plans rows from them (pure), and writes those in the transaction that stores the messages. Ingest
knows no projection by name; it is given them when a process is composed.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from sqlalchemy.engine import Connection

from mooring.dialects.model import Channel, Kind
from mooring.ingest.facts import Fact

__all__ = ["ALWAYS", "NEVER", "Effect", "Keys", "Projection", "Repeating", "Sees", "of_kinds"]


class Repeating(NamedTuple):
    """Messages that mostly say the same of their device again, as telemetry with metadata does.

    Wanted are those with this key. Of messages of a device that follow one another on one topic,
    are not late, and have the same names with plain values (texts, numbers) under the key, only
    the newest becomes a fact: what it says replaces what they say.
    """

    key: str


Keys = frozenset[str] | None | Repeating
"""Which messages of a channel are wanted: those whose payload has one of these keys."""
ALWAYS: Keys = None
"""Every message of the channel."""
NEVER: Keys = frozenset()
"""No message of the channel: it costs nothing."""


class Sees(Enum):
    """Of the messages that a projection wants, the ones it gets."""

    STORED = auto()
    """Those that this transaction adds. What is repeated was seen before: for what must happen
    once (alerts, replies, progress)."""
    RECEIVED = auto()
    """Those that arrive, repeated or not: for state, which may be set again."""
    HEARD = auto()
    """As RECEIVED, live ones only, and also messages that became dead letters
    (``Standing.UNREADABLE``): for what follows from a device's speaking at all."""
    NEWEST = auto()
    """As HEARD, of each topic and batch the newest one: for what only the last one decides.
    A message costs nothing here; a topic does."""


class Effect(NamedTuple):
    """What is published after the commit, at QoS 0, best effort. What must not be lost is a row."""

    topic: str
    payload: bytes


class Projection(Protocol):
    """What a domain derives from messages.

    Attributes:
        name: for the log and for dead letters.
        sees: which of the messages it wants it gets.
    """

    name: str
    sees: Sees

    def wants(self, channel: Channel) -> Keys:
        """Which messages of a channel that devices publish on: ``ALWAYS``, ``NEVER``, or those
        with one of these keys in their payload. Asked once a channel, not for each message."""
        ...

    def plan(self, facts: Sequence[Fact]) -> Any:
        """Rows for ``apply``, or ``None`` where nothing follows. Pure.

        Args:
            facts: in the order of arrival, retained ones first; never empty. Where they are
                cut into batches must make no difference.
        """
        ...

    def apply(self, connection: Connection, rows: Any) -> Sequence[Effect]:
        """Writes rows within the open transaction of the batch, in few statements whatever
        their number (see ``mooring.store.given``). It neither commits nor rolls back.

        On PostgreSQL a statement that returns no rows is sent with the next one: its
        ``rowcount`` is not known, RETURNING is. Rows are written in the order of their keys, so
        that two processes do not lock each other out.

        A value that the database rejects, or any other error that is not the database's own
        trouble, rolls back what was written here and costs only the fact at fault: facts are
        planned and applied in parts until it stands alone, and becomes a dead letter.
        """
        ...


def of_kinds(channel: Channel, kinds: frozenset[Kind]) -> Keys:
    """For ``wants``: every message of these kinds."""
    return ALWAYS if channel.kind in kinds else NEVER
