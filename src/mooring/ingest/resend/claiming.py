"""Storing a dead letter's message and deleting the dead letter in one transaction.

The sink knows nothing of dead letters that go: what goes with a batch is done where projections
are applied, inside its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from sqlalchemy.engine import Connection

from mooring.dialects import Catalogue
from mooring.ingest.facts import Fact
from mooring.ingest.plan import DeadLetter, Plan
from mooring.ingest.projection import ALWAYS, Effect, Projection, Sees
from mooring.ingest.projections import Prepared, Projections, Savepoint

__all__ = ["Claiming", "Newest", "Together", "together"]

Newest = Callable[[Connection, Collection[int]], Mapping[tuple[int, int], tuple[int, int]]]
"""The newest message of each channel of some devices: (device, channel) → (ts, received_at)."""
Together = Mapping[int, frozenset[int]]
"""Channel → the channels that say the same of a device, such as alerts and their ends."""


class Claiming(Projections):
    """The projections, for one batch of dead letters.

    What a message says of its device's state counts only where no newer one of the same channel is
    stored, nor of a channel that says the same: a newer alert is not ended by an older message.

    Args:
        claim: deletes the dead letters; raises where one is gone, and nothing is written.
        newest: asked within the transaction.
        together: of each projection.

    Attributes:
        added: places of the messages that were added, after a commit.
    """

    def __init__(
        self,
        projections: Sequence[Projection],
        claim: Callable[[Connection], None],
        newest: Newest,
        together: Sequence[Together],
    ) -> None:
        super().__init__(projections)
        self.added: frozenset[int] = frozenset()
        self._claim, self._newest, self._together = claim, newest, together
        self._facts: list[list[Fact]] | None = None

    def prepare(self, plan: Plan) -> Prepared:
        """Nothing yet: only the transaction knows which messages count."""
        return []

    def apply(
        self, connection: Connection, plan: Plan, prepared: Prepared, added: Collection[int]
    ) -> list[Effect]:
        self._begin(connection, plan, added)
        return super().apply(connection, plan, super().prepare(plan), added)

    def apply_isolated(
        self,
        connection: Connection,
        plan: Plan,
        added: Collection[int],
        savepoint: Savepoint,
        at: int,
    ) -> tuple[list[Effect], list[DeadLetter]]:
        self._begin(connection, plan, added)
        return super().apply_isolated(connection, plan, added, savepoint, at)

    def _begin(self, connection: Connection, plan: Plan, added: Collection[int]) -> None:
        self._claim(connection)
        self.added = frozenset(added)
        if self._facts is None:
            self._facts = plan.facts  # a second attempt judges all of them again
        held = self._newest(connection, {row[0] for row in plan.messages})
        plan.facts = [
            [one for one in facts if _counts(one, held, others)]
            for facts, others in zip(self._facts, self._together, strict=True)
        ]


def _counts(
    fact: Fact, held: Mapping[tuple[int, int], tuple[int, int]], together: Together
) -> bool:
    device, channel, ts, received_at = fact.row[:4]
    return held.get((device, channel)) == (ts, received_at) and all(
        held.get((device, other), (0, 0))[1] <= received_at for other in together.get(channel, ())
    )


def together(
    projections: Sequence[Projection], catalogue: Catalogue, numbers: Mapping[tuple[str, str], int]
) -> list[Together]:
    """Of each projection: the channels of which it wants every message that was stored.

    Args:
        numbers: (dialect, channel) → number.
    """
    found: list[Together] = []
    for one in projections:
        same: dict[int, frozenset[int]] = {}
        for dialect in catalogue.all() if one.sees is Sees.STORED else ():
            every = frozenset(
                numbers[dialect.name, channel.name]
                for channel in dialect.ups()
                if one.wants(channel) is ALWAYS
            )
            same.update(dict.fromkeys(every, every))
        found.append(same)
    return found
