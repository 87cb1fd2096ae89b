"""Rules over committed messages: what the issue's figures say, kills, late readings, people."""

from __future__ import annotations

from typing import Any, cast

import pytest
import sqlalchemy as sa

from mooring.alerts.model import Severity, State
from mooring.alerts.rules import store as rule_store
from mooring.alerts.service import Alerts
from mooring.identity.actor import SYSTEM
from mooring.store.schema import devices, rule_queue
from tests.integration.alerts.conftest import SECOND, Stand

HOT = {"metric": "temperature", "operator": ">", "value": 30}


def test_a_value_over_the_threshold_for_ten_minutes_is_one_alert(stand: Stand) -> None:
    rule = stand.rule(HOT)
    for _ in range(300):
        stand.say({"temperature": 31.5})
        stand.after(2)
    stand.step()
    (alert,) = stand.alerts()
    assert (alert.rule_id, alert.device, alert.state) == (rule, "acme:a", State.RAISED)
    assert alert.severity is Severity.WARNING
    assert alert.message == "temperature > 30"
    assert alert.value == "temperature 31.5"
    assert alert.raised_at == stand.now - 600 * SECOND
    assert stand.events(alert.id) == ["raised"]
    stand.say({"temperature": 29})
    stand.step()
    (alert,) = stand.alerts()
    assert (alert.state, alert.cleared_at) == (State.CLEARED, stand.now)
    assert stand.events(alert.id) == ["raised", "cleared"]


def test_two_hours_of_queued_readings_raise_nothing(stand: Stand) -> None:
    stand.rule(HOT)
    stand.say_all([({"temperature": 45}, age) for age in range(7200, 300, -2)])
    stand.step()
    assert stand.alerts() == []
    assert stand.counter("rule_readings_late") == 3450
    stand.say({"temperature": 20})  # the device is back, and well
    stand.step()
    assert stand.alerts() == []


def test_silence_is_noticed_ninety_seconds_after_the_last_message(stand: Stand) -> None:
    stand.rule({"no_data_seconds": 90}, name="silent")
    stand.say({"temperature": 1})
    last = stand.now
    while stand.now < last + 95 * SECOND:
        stand.step()
        if stand.alerts():
            break
        stand.after(1)
    (alert,) = stand.alerts()
    assert abs(stand.now - last - 90 * SECOND) <= 2 * SECOND
    assert alert.raised_at == last + 90 * SECOND
    assert alert.value == "no data for 90 s"
    stand.after(600)
    stand.say({"temperature": 1}, age=400)  # what it kept meanwhile: it may be gone again
    stand.step()
    assert stand.alerts()[0].state is State.RAISED
    stand.say({"temperature": 1})
    stand.step()
    assert stand.alerts()[0].state is State.CLEARED


def test_silence_says_nothing_while_nothing_can_be_heard(stand: Stand) -> None:
    stand.rule({"no_data_seconds": 90}, name="silent")
    stand.say({"temperature": 1})
    stand.step()
    stand.hears = False
    stand.after(600)
    stand.step()
    stand.hears = True
    stand.step()
    stand.after(89)
    stand.step()
    assert stand.alerts() == []
    stand.after(2)
    stand.step()
    assert len(stand.alerts()) == 1


def test_late_readings_are_in_the_history_and_clear_nothing(stand: Stand) -> None:
    stand.rule(HOT)
    stand.say({"temperature": 35})
    stand.step()
    stand.say({"temperature": 20}, age=301)
    stand.say({"temperature": 50}, age=3600)
    stand.step()
    (alert,) = stand.alerts()
    assert alert.state is State.RAISED
    assert stand.events(alert.id) == ["raised", "late"]


@pytest.mark.parametrize("age", [1, 120])
def test_a_reading_older_than_one_that_was_evaluated_counts_for_nothing(
    stand: Stand, age: int
) -> None:
    stand.rule(HOT)
    stand.say({"temperature": 20})
    stand.step()
    stand.kill()  # what was evaluated is found in the messages
    stand.say({"temperature": 50}, age=age)
    stand.step()
    assert stand.alerts() == []
    assert stand.counter("rule_readings_late") == 1


def test_a_kill_anywhere_repeats_and_loses_nothing(stand: Stand) -> None:
    stand.rule(HOT, for_seconds=60, clear_for_seconds=30)
    values = [35, 36, 20, 35, 35, 35, 20, 20, 35, 20, 20, 20]
    for value in values:
        stand.say({"temperature": value})
        stand.after(20)
        stand.step()
        stand.kill()
    found = [(alert.raised_at, alert.cleared_at) for alert in stand.alerts()]
    begun = stand.now - len(values) * 20 * SECOND
    # Hot for 60 s at 120 s, and not hot for 30 s at 150 s. The later heat is too short.
    assert found == [(begun + 120 * SECOND, begun + 150 * SECOND)]


def test_a_step_that_is_rolled_back_is_done_again(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.rule(HOT)
    stand.say({"temperature": 35})
    write = rule_store.write_states

    def fails(*_: object) -> None:
        raise RuntimeError("killed here")

    monkeypatch.setattr(rule_store, "write_states", fails)
    with pytest.raises(RuntimeError, match="killed here"):
        stand.step()
    assert stand.alerts() == []
    monkeypatch.setattr(rule_store, "write_states", write)
    stand.step()
    assert len(stand.alerts()) == 1


def test_two_evaluations_at_once_raise_one_alert(stand: Stand) -> None:
    stand.rule(HOT)
    other = stand.new_worker()
    stand.say({"temperature": 35})
    assert not other.step(stand.now)
    stand.step()
    stand.say({"temperature": 35})
    stand.step()
    other.step(stand.now)
    assert [alert.count for alert in stand.alerts()] == [1]


def test_cleared_by_hand_while_still_true_is_a_new_one_at_the_next_reading(stand: Stand) -> None:
    stand.rule(HOT, for_seconds=60)
    stand.say({"temperature": 35})
    stand.after(60)
    stand.step()
    (alert,) = stand.alerts()
    people = Alerts(stand.database, cast(Any, None))
    assert people.clear(SYSTEM, alert.id, reason="seen to").cleared_by == "mooring"
    stand.after(600)
    stand.step()
    assert len(stand.alerts()) == 1  # the clock alone raises none
    stand.kill()
    stand.say({"temperature": 36})
    stand.step()
    assert [one.state for one in stand.alerts()] == [State.CLEARED, State.RAISED]
    stand.say({"temperature": 36})
    stand.step()
    assert len(stand.alerts()) == 2


def test_severity_goes_up_and_down_in_steps(stand: Stand) -> None:
    steps = [{"value": 40, "severity": "error"}, {"value": 50, "severity": "critical"}]
    stand.rule({**HOT, "clear": 28}, steps=steps)
    seen = []
    for value in (31, 41, 55, 49, 47, 39, 29, 28):
        stand.say({"temperature": value})
        stand.step()
        seen.append(stand.alerts()[0].severity.word)
        stand.after(10)
    (alert,) = stand.alerts()
    assert seen == [
        "warning",
        "error",
        "critical",
        "critical",  # 2 below the step: as far as the rule's clear threshold is
        "error",
        "error",
        "warning",
        "warning",
    ]
    assert alert.state is State.CLEARED


def test_a_rule_of_a_tenant_is_about_its_own_devices(stand: Stand) -> None:
    stand.rule(HOT, tenant="rival")
    stand.say({"temperature": 99})
    stand.step()
    assert stand.alerts() == []
    stand.say({"temperature": 99}, topic="mooring/rival/b/telemetry")
    stand.step()
    assert [alert.tenant for alert in stand.alerts()] == ["rival"]


def test_a_removed_device_takes_its_states_and_alerts_along(stand: Stand) -> None:
    stand.rule(HOT)
    stand.say({"temperature": 35})
    stand.step()
    with stand.database.write() as connection:
        connection.execute(sa.delete(devices).where(devices.c.id == 1))
    stand.say({"temperature": 36})  # ingest does not know yet
    stand.step()
    assert stand.alerts() == []


def test_without_rules_nothing_is_queued(stand: Stand) -> None:
    def queued() -> int:
        with stand.database.read() as connection:
            counted = sa.select(sa.func.count()).select_from(rule_queue)
            return int(connection.execute(counted).scalar_one())

    stand.say({"temperature": 35})
    assert queued() == 0
    stand.rule(HOT)
    stand.say({"temperature": 35})
    stand.say({"temperature": 36})
    assert queued() == 2
    stand.step()
    assert queued() == 0


def test_nested_texts_and_odd_values_are_compared_or_left_alone(stand: Stand) -> None:
    stand.rule({"metric": "motor.temperature", "operator": ">=", "value": 30}, name="nested")
    stand.rule({"metric": "mode", "operator": "==", "value": "error"}, name="text")
    stand.rule({"metric": "door", "operator": "!=", "value": True}, name="door")
    for values in (
        {"motor": {"temperature": "hot"}, "mode": 5, "door": "open"},
        {"motor": [1, 2], "mode": None, "door": {}},
        {"motor": {"temperature": 29.99}, "mode": "ok", "door": True},
    ):
        stand.say(values)
        stand.step()
    assert stand.alerts() == []
    stand.say({"motor": {"temperature": 30}, "mode": "error", "door": False})
    stand.step()
    assert sorted(alert.name for alert in stand.alerts()) == ["door", "nested", "text"]
