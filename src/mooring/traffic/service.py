"""Notes how many messages pass, and says it over time."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.identity.actor import Actor, Role
from mooring.store.engine import Database
from mooring.traffic import store
from mooring.traffic.model import HOUR_MS, MINUTE_MS, Step, steps

__all__ = ["HOURS_KEPT_MS", "MINUTES_KEPT_MS", "STEPS_MAX", "Traffic"]

MINUTES_KEPT_MS = 2 * 86_400_000
"""For which there is a sample of each minute; from then on one of each hour."""
HOURS_KEPT_MS = 400 * 86_400_000
STEPS_MAX = 1_000
"""Steps of one answer."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Messages of the whole installation over time."""

    database: Database

    def note(self, now: int) -> None:
        """Stores what the counters are in this minute, once a minute even if several processes
        ask. Once an hour it deletes what is old.

        Args:
            now: epoch milliseconds.
        """
        at = now // MINUTE_MS * MINUTE_MS
        with self.database.write() as connection:
            store.add(connection, store.counted(connection, at))
            if at % HOUR_MS == 0:
                store.delete_old(connection, at - MINUTES_KEPT_MS, at - HOURS_KEPT_MS)

    def over_time(self, actor: Actor, start: int, step_ms: int, number: int) -> list[Step]:
        """Messages in each of ``number`` steps from ``start`` on.

        Raises:
            Forbidden: the actor does not see the whole installation.
        """
        actor.require(Role.VIEWER, None)
        end = start + step_ms * number
        with self.database.read() as connection:
            samples = store.samples(connection, start, end)
        return steps(samples, start, step_ms, number)
