"""Rules against the naive model: any order of on-time, late, repeated and missing readings, any
moments at which somebody looks at the clock, any kills."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mooring.alerts.rules.engine import Engine, Reading
from tests.unit.alerts.ruling import ABOUT, CHANNEL, SECOND, T0, Naive, found_by, rule_of

ORDERED = [">", ">=", "<", "<="]
SECONDS = 90


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    metric = draw(st.sampled_from("ab"))
    if draw(st.integers(0, 3)) == 0:
        return {
            "metric": draw(st.sampled_from([metric, None])),
            "no_data_seconds": draw(st.sampled_from([10, 20, 45])),
        }
    operator = draw(st.sampled_from([*ORDERED, "==", "!="]))
    value = draw(st.integers(0, 6))
    term: dict[str, Any] = {"metric": metric, "operator": operator, "value": value}
    if operator in ORDERED and draw(st.booleans()):
        margin = draw(st.integers(0, 3))
        term["clear"] = value - margin if operator in (">", ">=") else value + margin
    return term


@st.composite
def rules(draw: st.DrawFn) -> Any:
    some = draw(st.lists(terms(), min_size=1, max_size=3))
    more: dict[str, Any] = {
        "match": draw(st.sampled_from(["all", "any"])),
        "for_seconds": draw(st.sampled_from([0, 0, 1, 15, 30])),
        "clear_for_seconds": draw(st.sampled_from([0, 0, 1, 20])),
    }
    if some[0].get("operator") in ORDERED and draw(st.booleans()):
        up = some[0]["operator"] in (">", ">=")
        far = [some[0]["value"] + place * (1 if up else -1) for place in (1, 3)]
        more["steps"] = [
            {"value": far[0], "severity": "error"},
            {"value": far[1], "severity": "critical"},
        ]
    if draw(st.integers(0, 3)) == 0:  # 16:27 to 16:29 in UTC: T0 is 16:27
        more["schedule"] = {"from": "16:28", "to": "16:29", "zone": "UTC"}
    return rule_of(*some, **more)


@st.composite
def messages(draw: st.DrawFn) -> list[Reading]:
    """In the order of arrival, at whole seconds; made then, a little before, or long before."""
    found = []
    for at in sorted(draw(st.lists(st.integers(0, SECONDS), max_size=14))):
        age = draw(st.sampled_from([0, 0, 0, 0, 1, 7, 40, 299, 301, 4000, -3, -100]))
        body = draw(
            st.dictionaries(st.sampled_from("ab"), st.integers(-1, 9), min_size=1, max_size=2)
        )
        received = T0 + at * SECOND
        found.append(Reading(7, CHANNEL, received - age * SECOND, received, body))
        if draw(st.integers(0, 5)) == 0:
            found.append(found[-1])
    return found


def expected(rule: Any, arriving: list[Reading]) -> list[tuple[str, int, int]]:
    naive = Naive(rule.rule.definition, rule)
    for at in range(SECONDS + 60):
        naive.second(at, [one for one in arriving if one.received_at == T0 + at * SECOND])
    return naive.found


@settings(max_examples=100)
@given(rules(), messages(), st.sets(st.integers(0, SECONDS + 59)), st.sets(st.integers(0, 30)))
@example(rule_of({"metric": "a", "operator": ">", "value": 3}), [], set(), set())
def test_the_engine_finds_what_the_naive_model_finds(
    rule: Any, arriving: list[Reading], looks: set[int], kills: set[int]
) -> None:
    engine = Engine([rule], lambda _: ABOUT)
    found: list[tuple[str, int, int]] = []
    clock = sorted(looks)
    for place, message in enumerate(arriving):
        # The clock is looked at now and then, always before later messages are read.
        while clock and T0 + clock[0] * SECOND < message.received_at:
            engine.tick(T0 + clock.pop(0) * SECOND)
        engine.take(message)
        found += found_by(engine)
        if place in kills:
            engine = restarted(engine, rule)
    for at in clock:
        if not arriving or T0 + at * SECOND >= arriving[-1].received_at:
            engine.tick(T0 + at * SECOND)
    engine.tick(T0 + (SECONDS + 59) * SECOND)
    found += found_by(engine)
    assert found == expected(rule, arriving)


def restarted(engine: Engine, rule: Any) -> Engine:
    """What a new process knows: stored states, and what it finds in the messages."""
    after = Engine([rule], lambda _: ABOUT)
    for device, mine in engine.states.items():
        for number, state in mine.items():
            after.set_state(number, device, state)
    for (device, channel), ts in engine._newest.items():
        after.set_newest(device, channel, ts)
    for (device, metric), at in engine._heard.items():
        after.set_heard(device, metric, at)
    return after
