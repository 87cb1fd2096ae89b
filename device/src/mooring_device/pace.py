"""Backlog and live readings share one connection.

Pure: counts and times in, a plan out. After a reconnect the backlog drains in order, at a
settable pace, and between every ``per_live`` old readings one new one goes first, so that
somebody who looks at the device sees the present, and the backlog still comes to an end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["BACKLOG", "LIVE", "Bucket", "Plan", "plan"]

LIVE = "live"
BACKLOG = "backlog"


@dataclass
class Bucket:
    """Allowance for the backlog: ``rate`` readings a second, at most ``burst`` at once.

    A rate of 0 sets no limit.
    """

    rate: float
    burst: float = 50.0
    _tokens: float = field(default=0.0, init=False)
    _at: float | None = field(default=None, init=False)

    def available(self, now: float) -> int:
        """How many may go now. ``now``: seconds of a steady clock, never going back."""
        if self.rate <= 0:
            return 1 << 30
        if self._at is None:
            self._tokens = self.burst
        else:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        # A hair is added because 0.1 seconds at 10 a second must give 1, not 0.9999999.
        return int(self._tokens + 1e-9)

    def take(self, number: int) -> None:
        self._tokens = max(0.0, self._tokens - number)

    def wait(self) -> float:
        """Seconds until the next one may go."""
        if self.rate <= 0:
            return 0.0
        return max(0.0, (1.0 - self._tokens) / self.rate)


@dataclass(frozen=True)
class Plan:
    """What to send now, in order: a list of ``LIVE`` and ``BACKLOG``."""

    turns: list[str]

    @property
    def live(self) -> int:
        return self.turns.count(LIVE)

    @property
    def backlog(self) -> int:
        return self.turns.count(BACKLOG)


def plan(*, live: int, backlog: int, room: int, allowance: int, per_live: int) -> Plan:
    """Share ``room`` places among waiting live and backlog readings.

    Args:
        live, backlog: how many of each are waiting.
        room: how many may be sent in all.
        allowance: how many of the backlog its pace allows now.
        per_live: backlog readings that go for each live one.
    """
    turns: list[str] = []
    backlog = min(backlog, allowance)
    while len(turns) < room and (live or backlog):
        if live:
            turns.append(LIVE)
            live -= 1
        for _ in range(min(per_live if live else backlog, backlog, room - len(turns))):
            turns.append(BACKLOG)
            backlog -= 1
    return Plan(turns)
