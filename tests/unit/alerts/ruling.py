"""Rules and readings for tests, and a naive model of what a rule finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mooring.alerts.model import LATE_MS
from mooring.alerts.rules.engine import Engine, Reading
from mooring.alerts.rules.evaluate import Compiled, compile_rule
from mooring.alerts.rules.model import Definition, Operator, Rule
from mooring.alerts.rules.parse import definition_of, document_of
from mooring.alerts.rules.plan import About

__all__ = ["ABOUT", "SECOND", "T0", "Naive", "engine_of", "found_by", "rule_of"]

T0 = 1_771_000_020_000  # a whole minute
SECOND = 1_000
ABOUT = About("acme", "pump", "mooring", frozenset({("group", "hall")}))
CHANNEL = 1


def rule_of(*terms: Mapping[str, Any], number: int = 1, **more: Any) -> Compiled:
    """A rule with these terms; ``more`` as in its document."""
    document = document_of(definition_of({"terms": list(terms), **more}))
    definition = definition_of(document)
    return compile_rule(Rule(number, "acme", f"r{number}", True, 1, 0, 0, definition, document))


def engine_of(*rules: Compiled, about: About | None = ABOUT) -> Engine:
    return Engine(rules, lambda _: about)


def found_by(engine: Engine) -> list[tuple[str, int, int]]:
    """(what, seconds since ``T0``, step) of what happened since the last call."""
    return [
        (one.outcome.what.name.lower(), (one.outcome.at - T0) // SECOND, one.outcome.step)
        for one in engine.drain().findings
    ]


@dataclass
class Naive:
    """One rule and one device, looked at each second: no timers, no bits. Works out each second
    anew from everything that was read on time.

    Attributes:
        found: (what, second, step).
    """

    definition: Definition
    rule: Compiled
    found: list[tuple[str, int, int]] = field(default_factory=list)
    heard: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)  # second, body
    newest: int = 0
    true_since: int | None = None
    false_since: int | None = None
    raised: bool = False
    latched: set[int] = field(default_factory=set)
    step: int = 0

    def second(self, at: int, arriving: Sequence[Reading]) -> None:
        for reading in arriving:
            ts = min(reading.ts, reading.received_at)
            if reading.received_at - ts > LATE_MS or ts < self.newest:
                continue
            self.newest = ts
            self.heard.append((at, reading.body))
            self._decide(at)
        self._decide(at)

    def _decide(self, at: int) -> None:
        terms = self.definition.terms
        now = [self._true(place, at) for place in range(len(terms))]
        for place, true in enumerate(now):
            if true:
                self.latched.add(place)
            elif not self._would_stay(place):
                self.latched.discard(place)
        of = [place in self.latched for place in range(len(terms))] if self.raised else now
        holds = all(of) if self.definition.every else any(of)
        step = self._step()
        if self.raised:
            self._open(at, step, holds=holds)
            return
        if not holds:
            self.true_since = None
        elif self.true_since is None:
            if not self.rule.active(T0 + at * SECOND):
                return
            self.true_since = at
        if self.true_since is None or at - self.true_since < self.definition.for_ms // SECOND:
            return
        if not self.rule.active(T0 + at * SECOND):
            self.true_since = None
            return
        self.raised, self.false_since, self.step = True, None, step
        self.found.append(("raised", at, step))

    def _open(self, at: int, step: int, *, holds: bool) -> None:
        if holds:
            self.false_since = None
            if step != self.step:
                self.step = step
                self.found.append(("stepped", at, step))
            return
        if self.false_since is None:
            self.false_since = at
        if at - self.false_since >= self.definition.clear_for_ms // SECOND:
            self.found.append(("cleared", at, self.step))
            self.raised, self.true_since, self.step = False, None, 0

    def _last(self, metric: str) -> tuple[int, Any] | None:
        for at, body in reversed(self.heard):
            if not metric or metric in body:
                return at, body.get(metric)
        return None

    def _true(self, place: int, at: int) -> bool:
        term = self.definition.terms[place]
        last = self._last(term.metric)
        if last is None:
            return False
        if term.silence_ms:
            return at - last[0] >= term.silence_ms // SECOND
        return _compare(term.operator, last[1], term.value)

    def _would_stay(self, place: int) -> bool:
        term = self.definition.terms[place]
        last = self._last(term.metric)
        if term.silence_ms or last is None or term.clear is None or term.operator is None:
            return False
        return last[1] > term.clear if term.operator.upwards else last[1] < term.clear

    def _step(self) -> int:
        """The steps that the last value reaches: up at a step, down below its own clear."""
        first = self.definition.terms[0]
        last = self._last(first.metric)
        if not self.definition.steps or last is None:
            return 0
        margin = 0 if first.clear is None else first.clear - first.value  # type: ignore[operator]
        reached = 0
        for number, step in enumerate(self.definition.steps, start=1):
            stays = (
                last[1] > step.value + margin
                if first.operator is not None and first.operator.upwards
                else last[1] < step.value + margin
            )
            if _compare(first.operator, last[1], step.value) or (
                self.raised and self.step >= number and stays
            ):
                reached = number
        return reached


def _compare(operator: Operator | None, value: Any, limit: Any) -> bool:
    match operator:
        case Operator.ABOVE:
            return bool(value > limit)
        case Operator.AT_LEAST:
            return bool(value >= limit)
        case Operator.BELOW:
            return bool(value < limit)
        case Operator.AT_MOST:
            return bool(value <= limit)
        case Operator.IS:
            return bool(value == limit)
        case _:
            return bool(value != limit)
