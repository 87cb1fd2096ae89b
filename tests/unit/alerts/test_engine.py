"""The engine where the naive model does not go: schedules, clocks that go back, scopes, cost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.alerts.rules.engine import Engine, Reading
from mooring.alerts.rules.evaluate import HOT, compile_rule
from mooring.alerts.rules.model import Scope
from mooring.alerts.rules.plan import About, applies, plan_of
from tests.unit.alerts.ruling import ABOUT, CHANNEL, SECOND, T0, engine_of, found_by, rule_of

HOT_TERM = {"metric": "a", "operator": ">", "value": 3}


def said(at: int, **body: object) -> Reading:
    return Reading(7, CHANNEL, T0 + at * SECOND, T0 + at * SECOND, body)


@pytest.mark.parametrize(
    ("local", "active"),
    [
        ("2026-03-27T07:59+01:00", False),
        ("2026-03-27T08:00+01:00", True),
        ("2026-03-27T17:59+01:00", True),
        ("2026-03-27T18:00+01:00", False),
        ("2026-03-28T12:00+01:00", False),  # a Saturday
        ("2026-03-30T08:00+02:00", True),  # the clocks went forward on Sunday
        ("2026-03-30T07:59+02:00", False),
    ],
)
def test_a_schedule_follows_its_time_zone(local: str, active: bool) -> None:
    week = ["mon", "tue", "wed", "thu", "fri"]
    zone = {"days": week, "from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}
    rule = rule_of(HOT_TERM, schedule=zone)
    at = int(datetime.fromisoformat(local).timestamp() * 1000)
    assert rule.active(at) is active


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    rule = rule_of(HOT_TERM, schedule={"days": ["fri"], "from": "22:00", "to": "06:00"})

    def at(day: int, hour: int) -> bool:
        return rule.active(int(datetime(2026, 2, day, hour, tzinfo=UTC).timestamp() * 1000))

    assert [at(13, 21), at(13, 22), at(14, 5), at(14, 6), at(14, 22)] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_a_clock_that_goes_back_delays_nothing() -> None:
    engine = engine_of(
        rule_of(HOT_TERM, for_seconds=60), rule_of({"no_data_seconds": 90}, number=2)
    )
    engine.take(said(7200, a=5))
    engine.tick(T0 + 7210 * SECOND)
    engine.tick(T0)  # two hours back
    assert found_by(engine) == []
    engine.tick(T0 + 59 * SECOND)
    assert found_by(engine) == []
    engine.tick(T0 + 60 * SECOND)
    assert found_by(engine) == [("raised", 60, 0)]
    engine.tick(T0 + 90 * SECOND)
    assert found_by(engine) == [("raised", 90, 0)]
    engine.take(said(95, a=1))  # it is not late
    assert ("cleared", 95, 0) in found_by(engine)


@pytest.mark.parametrize(
    ("scope", "meant"),
    [
        (Scope(), True),
        (Scope(dialect="mooring", device="pump", group="hall"), True),
        (Scope(dialect="pulse"), False),
        (Scope(device="other"), False),
        (Scope(group="cellar"), False),
        (Scope(where="type=pump"), False),
    ],
)
def test_scopes(scope: Scope, meant: bool) -> None:
    assert applies(scope, ABOUT) is meant


def test_a_device_that_leaves_the_scope_clears_its_alert() -> None:
    about = [ABOUT]
    rule = rule_of(HOT_TERM, scope={"group": "hall"})
    engine = Engine([rule], lambda _: about[0])
    engine.take(said(0, a=5))
    about[0] = About("acme", "pump", "mooring")
    engine.devices_changed()
    engine.leave(T0 + 10 * SECOND)
    assert found_by(engine) == [("raised", 0, 0), ("cleared", 10, 0)]
    assert engine.states == {}


def test_rules_of_another_tenant_are_not_asked() -> None:
    engine = engine_of(rule_of(HOT_TERM), about=About("rival", "pump", "mooring"))
    assert engine.plan(7) is None
    engine.take(said(0, a=5))
    assert found_by(engine) == []


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False, width=64)
).filter(lambda number: abs(number) <= 1e300)


@given(
    st.lists(st.tuples(st.sampled_from([">", ">=", "<", "<="]), NUMBERS), min_size=1, max_size=4),
    NUMBERS,
    st.data(),
)
def test_in_the_quiet_band_no_term_is_true(
    some: list[tuple[str, float]], value: float, data: st.DataObject
) -> None:
    value = data.draw(st.sampled_from([value, *(limit for _, limit in some)]))
    rule = rule_of(
        *({"metric": "a", "operator": operator, "value": limit} for operator, limit in some)
    )
    (metric,) = plan_of([compile_rule(rule.rule)]).metrics
    if metric.low <= value <= metric.high:
        assert not any(test(value) & HOT for _, _, test in metric.entries)


def test_a_hundred_rules_of_a_quiet_device_are_one_look() -> None:
    rules = [
        rule_of({"metric": "a", "operator": ">", "value": 100 + number}, number=number + 1)
        for number in range(100)
    ]
    engine = engine_of(*rules)
    engine.take(said(0, a=5))
    drained = engine.drain()
    assert drained.evaluations == 100
    assert not drained.states
    assert engine.states == {}
