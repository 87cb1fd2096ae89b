"""What a reading, a silence or the clock makes of one rule and one device. Pure.

Invariant: nothing here raises, whatever a reading holds; a function returns a state that ``due``
has a later time for, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from mooring.alerts.model import Severity
from mooring.alerts.rules.model import Definition, Operator, Rule, Schedule, Term
from mooring.dialects import Scalar

__all__ = [
    "CALM",
    "HOT",
    "Compiled",
    "Outcome",
    "Phase",
    "State",
    "Test",
    "What",
    "compile_rule",
    "due",
    "reading",
    "released",
    "silence",
    "tick",
]

HOT, WARM, UNLIKE = 1, 2, 4
MINUTE = 60_000

Test = Callable[[Any], int]
"""A reading → ``HOT`` (the term is true), ``WARM`` (it would stay true), both, 0, or ``UNLIKE``
(the value cannot be compared: it says nothing)."""


class Phase(IntEnum):
    """Where a rule is with a device; the numbers are stored."""

    CALM = 0
    PENDING = 1  # the condition holds, not for long enough yet
    RAISED = 2
    CLEARING = 3  # the condition does not hold, not for long enough yet


class State(NamedTuple):
    """One rule and one device. Times are epoch milliseconds, by the clock of the platform.

    Attributes:
        since: when the phase began.
        hot: bits of the terms that are true.
        held: bits of the terms that were true and have not reached their clear threshold.
        step: how many steps of severity the open alert has.
        reach: how many the newest value reaches.
        rearmed: a person cleared the alert: the next reading raises another one if the condition
            holds, without regard to ``for``.
    """

    phase: Phase = Phase.CALM
    since: int = 0
    hot: int = 0
    held: int = 0
    step: int = 0
    reach: int = 0
    rearmed: bool = False


CALM = State()
"""Nothing the rule says is true."""


class What(IntEnum):
    RAISED = 1
    STEPPED = 2
    CLEARED = 3


class Outcome(NamedTuple):
    """What became of the alert."""

    what: What
    at: int
    step: int


class Compiled(NamedTuple):
    """A rule, ready for readings."""

    rule: Rule
    tests: tuple[Test, ...]  # of a term about silence: one that is never called
    bits: int  # of all terms
    every: bool
    for_ms: int
    clear_for_ms: int
    up: tuple[Test, ...]  # the steps of severity, by the value of the first term
    schedule: Schedule | None
    active: Callable[[int], bool]

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.rule.definition.terms

    def severity(self, step: int) -> Severity:
        definition = self.rule.definition
        return definition.steps[step - 1].severity if step else definition.severity


def compile_rule(rule: Rule) -> Compiled:
    """Everything that can be decided before a reading comes."""
    definition = rule.definition
    return Compiled(
        rule=rule,
        tests=tuple(_test(term) for term in definition.terms),
        bits=(1 << len(definition.terms)) - 1,
        every=definition.every,
        for_ms=definition.for_ms,
        clear_for_ms=definition.clear_for_ms,
        up=tuple(_step_tests(definition)),
        schedule=definition.schedule,
        active=_calendar(definition.schedule),
    )


# ---------------------------------------------------------------------- events


def reading(
    rule: Compiled, state: State, found: Sequence[tuple[int, Scalar]], at: int
) -> tuple[State, Sequence[Outcome]]:
    """After a message that is not late.

    Args:
        found: the places of those terms whose metric it holds, and the values.
        at: when it was received.
    """
    state, before = tick(rule, state, at - 1)  # what was due before it
    hot, held, step, reach = state.hot, state.held, state.step, state.reach
    for place, value in found:
        bit = 1 << place
        if rule.terms[place].silence_ms:
            hot, held = hot & ~bit, held & ~bit
            continue
        said = rule.tests[place](value)
        if said == UNLIKE:
            continue
        hot = hot | bit if said & HOT else hot & ~bit
        held = held | bit if said & HOT else (held if said & WARM else held & ~bit)
        if place == 0 and rule.up:
            step, reach = _step(rule, value, step), _step(rule, value, 0)
    state = state._replace(hot=hot, held=held, reach=reach)
    after, outcomes = _decide(rule, state, at, step, heard=True)
    return after, [*before, *outcomes]


def silence(rule: Compiled, state: State, place: int, at: int) -> tuple[State, Sequence[Outcome]]:
    """After there was no reading for as long as a term says.

    Args:
        at: when that was reached.
    """
    state, before = tick(rule, state, at - 1)
    bit = 1 << place
    state = state._replace(hot=state.hot | bit, held=state.held | bit)
    after, outcomes = _decide(rule, state, at, state.step)
    return after, [*before, *outcomes]


def tick(rule: Compiled, state: State, at: int) -> tuple[State, Sequence[Outcome]]:
    """What has become due until ``at``, at the time it was due."""
    outcomes: list[Outcome] = []
    while True:
        when = due(rule, state)
        if when is None or when > at:
            return state, outcomes
        before = state
        state, more = _decide(rule, state, when, state.step)
        outcomes += more
        if state == before:
            return state, outcomes


def due(rule: Compiled, state: State) -> int | None:
    """When ``tick`` may change something, if nothing else happens; ``None``: never."""
    match state.phase:
        case Phase.PENDING:
            return state.since + rule.for_ms
        case Phase.CLEARING:
            return state.since + rule.clear_for_ms
        case Phase.CALM if rule.schedule is not None and not state.rearmed:
            if _holds(rule, state.hot):
                return (state.since // MINUTE + 1) * MINUTE  # its schedule may begin then
    return None


def released(state: State) -> State:
    """After a person has cleared the alert."""
    if state.phase < Phase.RAISED:
        return state
    return state._replace(phase=Phase.CALM, rearmed=True)


# ---------------------------------------------------------------------- inside


def _holds(rule: Compiled, bits: int) -> bool:
    return bits == rule.bits if rule.every else bits != 0


def _decide(
    rule: Compiled, state: State, at: int, step: int, *, heard: bool = False
) -> tuple[State, list[Outcome]]:
    if state.phase >= Phase.RAISED:
        return _decide_open(rule, state, at, step)
    if not _holds(rule, state.hot):
        return (state if state.rearmed and not heard else _calm(state)), []
    if not rule.active(at):
        return state._replace(phase=Phase.CALM, since=at), []
    if state.rearmed:
        ripe = heard
    elif rule.for_ms and state.phase is Phase.CALM:
        return state._replace(phase=Phase.PENDING, since=at), []
    else:
        ripe = at - state.since >= rule.for_ms
    if not ripe:
        return state, []
    after = state._replace(phase=Phase.RAISED, since=at, step=state.reach, rearmed=False)
    return after, [Outcome(What.RAISED, at, state.reach)]


def _decide_open(rule: Compiled, state: State, at: int, step: int) -> tuple[State, list[Outcome]]:
    """While its alert is open."""
    if _holds(rule, state.held):
        since = at if state.phase is Phase.CLEARING else state.since
        after = state._replace(phase=Phase.RAISED, since=since, step=step)
        return after, [Outcome(What.STEPPED, at, step)] if step != state.step else []
    if state.phase is Phase.RAISED and rule.clear_for_ms:
        return state._replace(phase=Phase.CLEARING, since=at), []
    if state.phase is Phase.CLEARING and at - state.since < rule.clear_for_ms:
        return state, []
    return _calm(state), [Outcome(What.CLEARED, at, state.step)]


def _calm(state: State) -> State:
    """Without what only matters while an alert is open, or about to be."""
    return State(hot=state.hot, held=state.hot, reach=state.reach)


def _step(rule: Compiled, value: Scalar, now: int) -> int:
    """How many steps are reached: up at a step's value, down where its clear threshold is."""
    reached = 0
    for place, test in enumerate(rule.up, start=1):
        said = test(value)
        if said == UNLIKE:
            return now
        if said & HOT or (said & WARM and now >= place):
            reached = place
    return reached


def _test(term: Term) -> Test:
    if term.silence_ms:
        return _never
    assert term.operator is not None
    if term.operator is Operator.IS or term.operator is Operator.IS_NOT:
        return _equality(term.value, true=term.operator is Operator.IS)
    assert isinstance(term.value, int | float)
    return _threshold(term.operator, term.value, term.value if term.clear is None else term.clear)


def _never(_value: Any) -> int:
    return UNLIKE


def _equality(wanted: Scalar | None, *, true: bool) -> Test:
    both, none = (HOT | WARM, 0) if true else (0, HOT | WARM)
    kind = str if isinstance(wanted, str) else (int, float)

    def test(value: Any) -> int:
        if not isinstance(value, kind):
            return UNLIKE
        return both if value == wanted else none

    return test


def _threshold(operator: Operator, limit: float, clear: float) -> Test:
    both = HOT | WARM
    if operator is Operator.ABOVE:

        def test(value: Any) -> int:
            if value.__class__ is str:
                return UNLIKE
            return both if value > limit else (WARM if value > clear else 0)

    elif operator is Operator.AT_LEAST:

        def test(value: Any) -> int:
            if value.__class__ is str:
                return UNLIKE
            return both if value >= limit else (WARM if value > clear else 0)

    elif operator is Operator.BELOW:

        def test(value: Any) -> int:
            if value.__class__ is str:
                return UNLIKE
            return both if value < limit else (WARM if value < clear else 0)

    else:

        def test(value: Any) -> int:
            if value.__class__ is str:
                return UNLIKE
            return both if value <= limit else (WARM if value < clear else 0)

    return test


def _step_tests(definition: Definition) -> list[Test]:
    if not definition.steps:
        return []
    first = definition.terms[0]
    assert first.operator is not None and isinstance(first.value, int | float)
    margin = 0.0 if first.clear is None else first.clear - first.value
    return [
        _threshold(first.operator, step.value, step.value + margin) for step in definition.steps
    ]


# ---------------------------------------------------------------------- schedules


def _calendar(schedule: Schedule | None) -> Callable[[int], bool]:
    if schedule is None:
        return lambda _at: True
    zone = ZoneInfo(schedule.zone)
    begin = schedule.begin.hour * 60 + schedule.begin.minute
    end = schedule.end.hour * 60 + schedule.end.minute
    remembered: dict[int, bool] = {}

    def active(at: int) -> bool:
        minute = at // MINUTE
        found = remembered.get(minute)
        if found is None:
            if len(remembered) > 1000:
                remembered.clear()
            local = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
            found = remembered[minute] = _within(schedule.days, begin, end, local)
        return found

    return active


def _within(days: frozenset[int], begin: int, end: int, local: datetime) -> bool:
    now, day = local.hour * 60 + local.minute, local.weekday()
    if begin < end:
        return day in days and begin <= now < end
    if now >= begin:
        return day in days
    return now < end and (day - 1) % 7 in days  # what began on the day before
