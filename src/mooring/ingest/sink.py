"""What ingest asks of a database: one transaction a batch, both engines alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mooring.ingest.plan import DeadLetter, Plan
from mooring.ingest.projection import Effect

__all__ = ["REPEAT_WINDOW_MS", "Committed", "Sink", "versions_of"]

# How long a message with a number and no time of its own is recognised, since it was received.
REPEAT_WINDOW_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did.

    Attributes:
        stored: rows added.
        duplicates: rows that were there already.
        effects: what is to be published now.
        refused: what the database rejected; it was written as dead letters.
    """

    stored: int
    duplicates: int
    effects: Sequence[Effect] = ()
    refused: Sequence[DeadLetter] = ()


class Sink(Protocol):
    """Writes plans. ``DatabaseUnavailable`` means: try the same again later, with the same
    plan; then everything in it is stored once, also where the outcome of a try is not known.

    One call at a time, from whatever thread.
    """

    @property
    def waits(self) -> bool:
        """Whether calls wait for a network, so that they are better made from a thread."""
        ...

    def versions(self) -> tuple[int, int]:
        """The versions of devices, and of what decides on subscriptions: see ``versions_of``."""
        ...

    def ledger(self, client_id: str) -> list[tuple[int, bytes]]:
        """The batches kept for this client id, oldest first."""
        ...

    def expect(self, devices: int) -> None:
        """So many devices may send; what is kept ready for them is sized for that. It asks the
        database nothing."""
        ...

    def commit(self, plan: Plan, client_id: str, batch: int, forget: int) -> Committed:
        """Writes everything in one transaction, or nothing.

        A value that the database rejects costs that value alone: it becomes a dead letter in
        the same transaction, and what was rejected is in the answer. The same holds for what
        projections derive from a message.

        Rows that were added get a row in ``rollup_queue``, which is all that roll-ups need.

        Raises:
            DatabaseUnavailable: locked, gone or full; nothing was written.
        """
        ...

    def close(self) -> None: ...


def versions_of(found: Mapping[str, int]) -> tuple[int, int]:
    """From the table of versions: that of devices, and that of dialects together with broker
    users, on which subscriptions depend. Both grow with every change."""
    return found.get("devices", 0), found.get("dialects", 0) + found.get("broker_users", 0)
