"""A fleet that is updated, on the pure rules of jobs: no database, no clock.

Each device goes through a download, an install and a proof, or fails in one of the ways there are.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mooring.jobs.rules import (
    OVER,
    Counts,
    Decision,
    Event,
    Facts,
    Plan,
    Progress,
    State,
    decide,
    follow,
    spent,
)

__all__ = ["FAILURES", "Fleet"]

T0 = 1_771_000_000_000
SECOND = 1000
DAY = 86_400_000
FAILURES = (
    *("no_space", "digest", "signature", "hardware", "downgrade", "link", "http_4xx", "network"),
    *("install", "health", "loop", "refused", "unknown", "reverted", "timed_out", "lost"),
)
"""Ways to fail; a ``lost`` device is never heard of again, and fails when the job's time is up."""


@dataclass
class Fleet:
    """A rollout and its devices.

    Attributes:
        failing: the share of devices that fail.
        check: is called with each decision before it is carried out.
    """

    devices: int
    plan: Plan
    failing: float = 0.05
    skipped: float = 0.0
    away: float = 0.0
    seed: int = 7
    check: Callable[[Fleet, Decision, Facts], None] = lambda fleet, decision, facts: None
    at: int = T0
    causes: Counter[str] = field(default_factory=Counter)
    turns: int = 0

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self._chance = chance
        self.now = Progress(State.RUNNING, Counts(waiting=self.devices), T0 + 30 * DAY)
        self._next = 0
        self._events: list[tuple[int, int, str]] = []
        self._busy: set[int] = set()
        self._absent: set[int] = set()
        self._later: list[int] = []  # when devices that are not connected connect
        self._fate = [self._draw() for _ in range(self.devices)]

    def _draw(self) -> str:
        point = self._chance.random()
        if point < self.failing:
            return self._chance.choice(FAILURES)
        return "already" if point < self.failing + self.skipped else ""

    @property
    def facts(self) -> Facts:
        later = sum(at > self.at for at in self._later)
        return Facts(
            later=later,
            next_at=min((at for at in self._later if at > self.at), default=None),
            busy=len(self._busy),
            absent=len(self._absent),
        )

    def run(self, turns: int = 1_000_000) -> State:
        """Until it is over or stopped; the state then."""
        for _ in range(turns):
            if self.now.state in OVER or self.now.state is State.STOPPED:
                break
            due = self.step()
            times = [one for one in (due, self._events[0][0] if self._events else None) if one]
            self.at = max(self.at, min(times))
            self._happen()
        return self.now.state

    def step(self) -> int | None:
        """One turn of the worker; when the next one is due."""
        self.turns += 1
        facts = self.facts
        decision = decide(self.plan, self.now, self.at, facts)
        self.check(self, decision, facts)
        if decision.event is not None:
            return self._enter(decision.event)
        if self.now.state is State.EXPIRING:
            self._expire()
            return self.at
        started = self._start(decision.start)
        self.now = replace(
            self.now,
            wave=decision.wave,
            wave_over_at=decision.wave_over_at,
            paced_at=spent(self.plan, decision, started),
        )
        following = decide(self.plan, self.now, self.at, self.facts)
        return self.at if following.start or following.event else following.due_at

    def _enter(self, event: Event) -> int:
        state = follow(self.now.state, event)
        assert state is not None
        self.now = replace(self.now, state=state)
        return self.at

    def _start(self, most: int) -> int:
        """Devices in the order of the job; those that are not connected wait."""
        self._later = [at for at in self._later if at > self.at]
        started = 0
        while started < most and self._next < self.devices:
            device, self._next = self._next, self._next + 1
            fate = self._fate[device]
            if fate == "already":
                self._move("waiting", "skipped", fate)
                continue
            self._move("waiting", "handed_over")
            begins = self.at + self._chance.randrange(1, 20) * SECOND
            if self._chance.random() < self.away:
                self._absent.add(device)
                begins += self._chance.randrange(600) * SECOND
            heapq.heappush(self._events, (begins, device, "begins"))
            started += 1
        return started

    def _happen(self) -> None:
        """What devices did until now."""
        while self._events and self._events[0][0] <= self.at:
            _, device, what = heapq.heappop(self._events)
            fate, after = self._fate[device], self._chance.randrange(5, 90) * SECOND
            if what == "begins":
                self._absent.discard(device)
                early = fate not in ("", "install", "health", "loop", "reverted", "lost")
                following = "ends" if early else "installs"
                if fate != "lost":
                    heapq.heappush(self._events, (self.at + after, device, following))
            elif what == "installs":
                self._busy.add(device)
                heapq.heappush(self._events, (self.at + after, device, "ends"))
            else:
                self._busy.discard(device)
                self._move("handed_over", "failed" if fate else "succeeded", fate)

    def _expire(self) -> None:
        for name, state in (("waiting", "cancelled"), ("handed_over", "failed")):
            for _ in range(getattr(self.now.counts, name)):
                self._move(name, state, "expired" if state == "cancelled" else "lost")

    def _move(self, before: str, after: str, cause: str = "") -> None:
        counts = self.now.counts
        changed = {before: getattr(counts, before) - 1, after: getattr(counts, after) + 1}
        self.now = replace(self.now, counts=replace(counts, **changed))
        if cause:
            self.causes[cause] += 1
