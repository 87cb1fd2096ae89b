"""Every rule and every device, in memory: readings and the clock go in, outcomes come out. No I/O.

Who uses it stores what ``drain`` gives, in one transaction with the note of what was read. If that
fails, the engine is thrown away and made again from the database.

A reading is *late* when it arrives more than five minutes after it was made, or is older than one
of its channel that was evaluated before. Late readings raise, clear and end nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mooring.alerts.model import LATE_MS
from mooring.alerts.rules import evaluate
from mooring.alerts.rules.evaluate import CALM, HOT, Compiled, Outcome, Phase, State, What
from mooring.alerts.rules.plan import About, Plan, Silent, applies, plan_of
from mooring.dialects import Scalar

__all__ = ["Drained", "Engine", "Finding", "Reading", "is_late"]

BLIND_MS = 1_000  # until silence is looked at again while nothing can be heard
BACK_MS = 1_000
"""The platform's clock went back by more than this: nothing waits until the old time returns."""
_SCALARS = frozenset({int, float, bool, str})


class Reading(NamedTuple):
    """A committed message. Times are epoch milliseconds.

    Attributes:
        body: its readings by name.
    """

    device: int
    channel: int
    ts: int
    received_at: int
    body: Mapping[str, Any]


class Finding(NamedTuple):
    """What a rule finds of a device."""

    rule: Compiled
    device: int
    outcome: Outcome
    value: str


@dataclass(slots=True)
class Drained:
    """What has happened since the last time.

    Attributes:
        states: (rule, device) → its state now.
        notes: (rule, device) → time and value of a late reading that a rule is true of, while
            its alert is open.
    """

    findings: list[Finding] = field(default_factory=list)
    states: dict[tuple[int, int], State] = field(default_factory=dict)
    notes: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)
    evaluations: int = 0
    late: int = 0


class Engine:
    """See the module.

    Args:
        rules: those that are enabled.
        about: what scopes ask of a device; ``None``: no such device.
    """

    def __init__(self, rules: Iterable[Compiled], about: Callable[[int], About | None]) -> None:
        self._about = about
        self._rules = {rule.rule.id: rule for rule in rules}
        self._of_tenant: dict[str, list[Compiled]] = {}
        for rule in self._rules.values():
            self._of_tenant.setdefault(rule.rule.tenant, []).append(rule)
        self._named = {
            (rule.rule.tenant, rule.rule.definition.scope.device) for rule in self._rules.values()
        }
        self._shared: dict[About, Plan | None] = {}
        self._plans: dict[int, Plan | None] = {}
        self.states: dict[int, dict[int, State]] = {}  # device → rule → state; CALM is not in it
        self._newest: dict[tuple[int, int], int] = {}
        self._heard: dict[tuple[int, str], int] = {}
        self._timers: list[tuple[int, int, int]] = []  # at, rule, device
        self._next: dict[tuple[int, int], int] = {}
        self._silences: list[tuple[int, int, int, int]] = []  # at, device, rule, place
        self._armed: set[tuple[int, int, int]] = set()
        self._since: int | None = 0
        self._ticked = 0
        self._drained = Drained()

    # ------------------------------------------------------------------ what it knows

    def plan(self, device: int) -> Plan | None:
        """What messages of a device are compared with; ``None``: with nothing."""
        try:
            return self._plans[device]
        except KeyError:
            found = self._plans[device] = self._make_plan(device)
            return found

    def set_state(self, rule: int, device: int, state: State) -> None:
        """A stored one."""
        self._keep(rule, device, state)
        self._remind(rule, device, state)

    def rearm(self, rule: int, device: int) -> None:
        """A person has cleared the alert."""
        state = self.states.get(device, {}).get(rule)
        if state is not None:
            self._set(rule, device, evaluate.released(state))

    def set_newest(self, device: int, channel: int, ts: int) -> None:
        """The newest reading of a channel that was evaluated before."""
        self._newest[device, channel] = ts

    def knows(self, device: int, channel: int) -> bool:
        return (device, channel) in self._newest

    def set_heard(self, device: int, metric: str, at: int) -> None:
        """When the last reading came; begins to wait for the next one."""
        plan = self.plan(device)
        self._heard[device, metric] = max(at, self._heard.get((device, metric), 0))
        for silent in plan.silent if plan is not None else ():
            if silent.metric == metric:
                self._arm(silent, device)

    def watch(self, since: int | None) -> None:
        """Since when readings can be heard at all; ``None``: they cannot now, so that silence
        says nothing. What was silent before ``since`` has from then on its whole time."""
        self._since = since

    def devices_changed(self) -> None:
        """Scopes are asked again; a rule that is no longer about a device clears its alert."""
        self._plans.clear()
        self._shared.clear()

    def leave(self, at: int) -> None:
        """Ends what rules find of devices that they are no longer about."""
        for device, mine in list(self.states.items()):
            plan = self.plan(device)
            for number, state in list(mine.items()):
                if plan is not None and number in plan.rules:
                    continue
                rule = self._rules.get(number)
                if rule is not None and state.phase >= Phase.RAISED:
                    outcome = Outcome(What.CLEARED, at, state.step)
                    self._drained.findings.append(Finding(rule, device, outcome, ""))
                self._set(number, device, CALM)

    # ------------------------------------------------------------------ what comes

    def take(self, reading: Reading) -> None:
        """One message."""
        device = reading.device
        try:
            plan = self._plans[device]
        except KeyError:
            plan = self.plan(device)
        if plan is None:
            return
        at, ts = reading.received_at, min(reading.ts, reading.received_at)
        key = (device, reading.channel)
        newest = self._newest.get(key, 0)
        self._drained.evaluations += plan.width
        if is_late(ts, at, newest):
            self._late(plan, reading)
            return
        self._newest[key] = ts
        body, mine = reading.body, self.states.get(device)
        if plan.silent:
            self._hear(plan, device, body, at)
            mine = self.states.get(device)
        touched = _touched(plan, body, mine)
        for number, found in touched.items():
            rule = plan.rules[number]
            before = CALM if mine is None else mine.get(number, CALM)
            after, outcomes = evaluate.reading(rule, before, found, at)
            self._set(number, device, after, before)
            for outcome in outcomes:
                self._drained.findings.append(Finding(rule, device, outcome, _value(rule, found)))

    def tick(self, now: int) -> None:
        """What has become due until ``now``; every message received until then was taken."""
        if now < self._ticked - BACK_MS:
            self._go_back(now)
        self._ticked = now
        while self._silences and self._silences[0][0] <= now:
            popped, device, number, place = heapq.heappop(self._silences)
            self._armed.discard((device, number, place))
            plan = self.plan(device)
            for silent in plan.silent if plan is not None else ():
                if silent.rule.rule.id == number and silent.place == place:
                    self._look(silent, device, popped, now)
        while self._timers and self._timers[0][0] <= now:
            at, number, device = heapq.heappop(self._timers)
            if self._next.get((number, device)) != at:
                continue  # another one counts
            del self._next[number, device]
            rule = self._rules.get(number)
            before = self.states.get(device, {}).get(number)
            if rule is None or before is None:
                continue
            after, outcomes = evaluate.tick(rule, before, now)
            self._set(number, device, after, before)
            self._remind(number, device, after)
            self._drained.findings += [Finding(rule, device, one, "") for one in outcomes]

    def drain(self) -> Drained:
        """What is to be stored."""
        found, self._drained = self._drained, Drained()
        return found

    # ------------------------------------------------------------------ inside

    def _make_plan(self, device: int) -> Plan | None:
        about = self._about(device)
        if about is None:
            return None
        if (about.tenant, about.name) not in self._named:
            about = about._replace(name="")  # no rule asks for it
        try:
            return self._shared[about]
        except KeyError:
            mine = [
                rule
                for rule in self._of_tenant.get(about.tenant, ())
                if applies(rule.rule.definition.scope, about)
            ]
            found = self._shared[about] = plan_of(mine) if mine else None
            return found

    def _hear(self, plan: Plan, device: int, body: Mapping[str, Any], at: int) -> None:
        if self._since is not None:
            missed = []
            for silent in plan.silent:  # what nobody looked at in time
                heard = self._heard.get((device, silent.metric))
                if heard is not None:
                    deadline = max(heard, self._since) + silent.ms
                    if deadline < at:
                        missed.append((deadline, silent))
            for deadline, silent in sorted(missed, key=lambda one: one[0]):
                self._fall_silent(silent, device, deadline)
        for silent in plan.silent:
            if _has(body, silent.metric):
                key = (device, silent.metric)
                self._heard[key] = max(at, self._heard.get(key, 0))
                self._arm(silent, device)

    def _arm(self, silent: Silent, device: int) -> None:
        key = (device, silent.rule.rule.id, silent.place)
        if key not in self._armed:
            self._armed.add(key)
            at = self._heard[device, silent.metric] + silent.ms
            heapq.heappush(self._silences, (at, *key))

    def _look(self, silent: Silent, device: int, due: int, now: int) -> None:
        """Whether it has been silent for long enough when that was due; if not, when to look
        again: in its turn, also where that is before now."""
        heard = self._heard.get((device, silent.metric))
        if heard is None:
            return
        if self._since is None:
            at = now + BLIND_MS
        else:
            at = max(heard, self._since) + silent.ms
            if at <= due:
                self._fall_silent(silent, device, at)
                return
        key = (device, silent.rule.rule.id, silent.place)
        self._armed.add(key)
        heapq.heappush(self._silences, (at, *key))

    def _fall_silent(self, silent: Silent, device: int, at: int) -> None:
        rule, number = silent.rule, silent.rule.rule.id
        before = self.states.get(device, {}).get(number, CALM)
        if before.hot >> silent.place & 1:
            return
        after, outcomes = evaluate.silence(rule, before, silent.place, at)
        self._set(number, device, after, before)
        said = f"no data for {silent.ms / 1000:g} s"
        self._drained.findings += [Finding(rule, device, one, said) for one in outcomes]

    def _late(self, plan: Plan, reading: Reading) -> None:
        self._drained.late += 1
        mine = self.states.get(reading.device)
        for metric in plan.metrics if mine is not None else ():
            value = reading.body.get(metric.name)
            if value.__class__ not in _SCALARS:
                continue
            for rule, _, test in metric.entries:
                number = rule.rule.id
                state = mine.get(number) if mine is not None else None
                if state is not None and state.phase >= Phase.RAISED and test(value) & HOT:
                    said = f"{metric.name} {_text(value)}"
                    self._drained.notes[number, reading.device] = (reading.ts, said)

    def _go_back(self, now: int) -> None:
        for key, ts in self._newest.items():
            self._newest[key] = min(ts, now)
        for heard, at in self._heard.items():
            self._heard[heard] = min(at, now)
        self._silences = sorted((min(one[0], now), *one[1:]) for one in self._silences)
        self._timers, self._next = [], {}
        for device, mine in list(self.states.items()):
            for number, state in list(mine.items()):
                if state.since > now:
                    self._set(number, device, state._replace(since=now), state)
                self._remind(number, device, self.states[device][number])

    def _set(self, rule: int, device: int, state: State, before: State | None = None) -> None:
        if state == before:
            return
        self._keep(rule, device, state)
        self._drained.states[rule, device] = state
        self._remind(rule, device, state)

    def _keep(self, rule: int, device: int, state: State) -> None:
        mine = self.states.setdefault(device, {})
        if state == CALM:
            mine.pop(rule, None)
        else:
            mine[rule] = state
        if not mine:
            del self.states[device]

    def _remind(self, number: int, device: int, state: State) -> None:
        rule = self._rules.get(number)
        at = None if rule is None else evaluate.due(rule, state)
        key = (number, device)
        if at is None:
            self._next.pop(key, None)
        elif self._next.get(key) != at:
            self._next[key] = at
            heapq.heappush(self._timers, (at, number, device))


def _touched(
    plan: Plan, body: Mapping[str, Any], mine: Mapping[int, State] | None
) -> dict[int, list[tuple[int, Scalar]]]:
    """Rule → places and values of the terms that a message says something new of: those that are
    true, and all of rules that are not calm."""
    touched: dict[int, list[tuple[int, Scalar]]] = {}
    for name, low, high, entries in plan.metrics:
        value = body.get(name)
        kind = value.__class__
        if kind is float or kind is int:
            if mine is None and low <= value <= high:  # type: ignore[operator]
                continue
        elif kind not in _SCALARS:
            continue
        for rule, place, test in entries:
            number = rule.rule.id
            if (mine is not None and number in mine) or test(value) & HOT:
                touched.setdefault(number, []).append((place, value))  # type: ignore[arg-type]
    if mine is not None:
        for silent in plan.silent:
            number = silent.rule.rule.id
            if number in mine and _has(body, silent.metric):
                touched.setdefault(number, []).append((silent.place, True))
    return touched


def is_late(ts: int, received_at: int, newest: int) -> bool:
    """Args: newest: of the readings of its channel that were evaluated before it."""
    return received_at - ts > LATE_MS or ts < newest


def _has(body: Mapping[str, Any], metric: str) -> bool:
    return not metric or body.get(metric).__class__ in _SCALARS


def _value(rule: Compiled, found: Iterable[tuple[int, Scalar]]) -> str:
    """What was read, for people."""
    terms = rule.terms
    return ", ".join(
        f"{terms[place].metric} {_text(value)}"
        for place, value in found
        if not terms[place].silence_ms
    )


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:50]
