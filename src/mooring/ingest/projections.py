"""Runs projections within the transaction of a batch.

Usually all are planned before the transaction begins and applied in it, one after the other.
Where one fails for a value, or by a fault of its own, the transaction is rolled back, and the
batch is written again with each projection in a savepoint, its facts in halves until the one at
fault stands alone (``apply_isolated``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy.engine import Connection

from mooring.dialects.model import Channel
from mooring.errors import DatabaseUnavailable
from mooring.ingest.facts import Fact
from mooring.ingest.interest import Each, Interest, Repeat
from mooring.ingest.isolate import each_alone, refuses, why
from mooring.ingest.plan import DeadLetter, Plan
from mooring.ingest.projection import Effect, Projection, Repeating, Sees
from mooring.store.faults import of_driver

__all__ = ["NotProjected", "Prepared", "Projections"]

log = logging.getLogger(__name__)

Prepared = list[tuple[Projection, Any]]
Savepoint = Callable[[], AbstractContextManager[object]]


class NotProjected(Exception):
    """A projection failed on a fact; trying the same again would not help."""


class Projections:
    """The projections of a process, in the order in which they are applied.

    Raises:
        ValueError: two have the same name.
    """

    def __init__(self, projections: Sequence[Projection] = ()) -> None:
        self._all = tuple(projections)
        names = [one.name for one in self._all]
        if len(set(names)) < len(names):
            raise ValueError(f"Two projections have the same name: {', '.join(sorted(names))}.")

    def __len__(self) -> int:
        return len(self._all)

    def interest(self, channel: Channel) -> Interest:
        """What they want of a channel."""
        each: list[Each] = []
        newest: list[int] = []
        heard: list[int] = []
        repeat: Repeat | None = None
        watched = False
        for slot, projection in enumerate(self._all):
            wanted, sees = projection.wants(channel), projection.sees
            if isinstance(wanted, Repeating):
                if sees is Sees.RECEIVED and (repeat is None or repeat.key == wanted.key):
                    before = () if repeat is None else repeat.slots
                    repeat = Repeat((*before, slot), wanted.key)
                    continue
                wanted = frozenset({wanted.key})  # then each of them
            if wanted is not None and not wanted:
                continue
            if sees is Sees.NEWEST:
                newest.append(slot)
            else:
                keys = None if wanted is None else tuple(sorted(wanted))
                each.append(Each(slot, keys, sees is not Sees.HEARD))
            if sees in (Sees.HEARD, Sees.NEWEST):
                heard.append(slot)
            watched = watched or sees is Sees.STORED
        slots = frozenset(one.slot for one in each)
        return Interest(tuple(each), repeat, tuple(newest), tuple(heard), watched, slots)

    def prepare(self, plan: Plan) -> Prepared:
        """Rows of those projections that need not know what is added.

        Raises:
            NotProjected: one failed; see ``apply_isolated``.
        """
        return self._planned(
            [
                (projection, facts)
                for projection, facts in zip(self._all, plan.facts, strict=False)
                if projection.sees is not Sees.STORED
            ]
        )

    def apply(
        self, connection: Connection, plan: Plan, prepared: Prepared, added: Collection[int]
    ) -> list[Effect]:
        """Writes what follows from a plan; what is to be published after the commit.

        Args:
            added: those places of ``plan.watched`` whose messages were added.

        Raises:
            NotProjected: one failed; see ``apply_isolated``.
            An error of the database, where it may go away.
        """
        if not prepared and not added:
            return []
        if added:
            new = _rows(plan, added)
            prepared = prepared + self._planned(
                [
                    (projection, [fact for fact in facts if id(fact.row) in new])
                    for projection, facts in zip(self._all, plan.facts, strict=False)
                    if projection.sees is Sees.STORED
                ]
            )
        effects: list[Effect] = []
        for projection, rows in prepared:
            try:
                effects += projection.apply(connection, rows)
            except Exception as exc:
                if not _costs_a_fact(exc):
                    raise
                raise NotProjected(f"{projection.name}: {exc}") from exc
        return effects

    def apply_isolated(
        self,
        connection: Connection,
        plan: Plan,
        added: Collection[int],
        savepoint: Savepoint,
        at: int,
    ) -> tuple[list[Effect], list[DeadLetter]]:
        """The same, where a fact costs only itself: also the dead letters of those that failed.

        Args:
            savepoint: rolls back to its beginning when its body raises.
            at: the time for dead letters, epoch milliseconds.
        """
        effects: list[Effect] = []
        letters: list[DeadLetter] = []
        new = _rows(plan, added)
        for slot, projection in enumerate(self._all):
            facts = plan.facts[slot] if plan.facts else []
            if projection.sees is Sees.STORED:
                facts = [fact for fact in facts if id(fact.row) in new]

            def write(some: Sequence[Fact], projection: Projection = projection) -> list[Effect]:
                rows = projection.plan(some)
                return [] if rows is None else list(projection.apply(connection, rows))

            failures: list[Exception] = []

            def failed(
                fact: Fact,
                exc: Exception,
                projection: Projection = projection,
                failures: list[Exception] = failures,
            ) -> None:
                failures.append(exc)
                letters.append(_letter(projection, fact, exc, at))

            for some in each_alone(
                facts, write, failed, savepoint=savepoint, costs_an_item=_costs_a_fact
            ):
                effects += some
            if failures:  # not each of them: a fault of the program may concern every message
                log.error(
                    "%s: what follows from %d of %d messages cannot be stored",
                    projection.name,
                    len(failures),
                    len(facts),
                    exc_info=failures[0],
                )
        return effects, letters

    def _planned(self, some: Sequence[tuple[Projection, Sequence[Fact]]]) -> Prepared:
        prepared: Prepared = []
        for projection, facts in some:
            if not facts:
                continue
            try:
                rows = projection.plan(facts)
            except Exception as exc:
                if not _costs_a_fact(exc):
                    raise
                raise NotProjected(f"{projection.name}: {exc}") from exc
            if rows is not None:
                prepared.append((projection, rows))
        return prepared


def _rows(plan: Plan, places: Collection[int]) -> set[int]:
    """Identities of these rows: a fact holds the very row that was stored."""
    return {id(plan.messages[place]) for place in places}


def _costs_a_fact(exc: Exception) -> bool:
    """Whether the fact, or the projection, is at fault: not the database."""
    if of_driver(exc):
        return refuses(exc)
    return not isinstance(exc, DatabaseUnavailable)


def _letter(projection: Projection, fact: Fact, exc: Exception, at: int) -> DeadLetter:
    """The message itself is stored, or a dead letter already: so this one has no payload."""
    rejected = of_driver(exc)
    said = (
        f"The message is kept; the database rejects what follows from it ({projection.name})"
        if rejected
        else f"The message is kept; what follows from it fails ({projection.name})"
    )
    return DeadLetter(
        at,
        "not_storable" if rejected else "not_handled",
        why(said, exc),
        fact.topic,
        fact.device.tenant,
        fact.device.id,
        0,
        b"",
    )
