"""Alerts that devices raise themselves, and what one that raises thousands costs."""

from __future__ import annotations

import pytest

from mooring.alerts.model import Bounds, Severity, State
from mooring.store.engine import Database
from tests.integration.alerts.conftest import SECOND, Stand
from tests.support.projecting import packet

ALERT, CLEARED = "mooring/acme/a/alert", "mooring/acme/a/alert_cleared"


def test_a_device_raises_repeats_and_clears_an_alert(stand: Stand) -> None:
    said = {"alert": "battery_low", "severity": "critical", "message": "Battery at 9 %."}
    stand.send(ALERT, {"ts": stand.now, "seq": 1, **said})
    stand.after(60)
    stand.send(ALERT, {"ts": stand.now, "seq": 2, **said})
    (alert,) = stand.alerts()
    assert (alert.name, alert.severity, alert.count) == ("battery_low", Severity.CRITICAL, 2)
    assert alert.message == "Battery at 9 %."
    stand.send(CLEARED, {"ts": stand.now, "seq": 3, "alert": "battery_low"})
    stand.send(CLEARED, {"ts": stand.now, "seq": 4, "alert": "battery_low"})
    (alert,) = stand.alerts()
    assert alert.state is State.CLEARED
    assert stand.events(alert.id) == ["raised", "cleared"]


def test_what_a_device_repeats_is_raised_once(stand: Stand) -> None:
    said = {"ts": stand.now, "seq": 1, "alert": "leak"}
    stand.send(ALERT, said)
    stand.send(CLEARED, {"ts": stand.now, "seq": 2, "alert": "leak"})
    stand.after(600)
    stand.send(ALERT, said)  # the same message once more
    assert [alert.state for alert in stand.alerts()] == [State.CLEARED]


def test_alerts_that_were_kept_while_offline_are_late_and_end_in_their_order(stand: Stand) -> None:
    made = stand.now - 7200 * SECOND
    stand.send(ALERT, {"ts": made, "seq": 1, "alert": "leak"})
    stand.send(CLEARED, {"ts": made + SECOND, "seq": 2, "alert": "leak"})
    stand.send(ALERT, {"ts": made + 2 * SECOND, "seq": 3, "alert": "smoke"})
    leak, smoke = stand.alerts()
    assert (leak.late, leak.state) == (True, State.CLEARED)
    assert (smoke.late, smoke.state) == (True, State.RAISED)
    assert stand.counter("alerts_late") == 2
    stand.send(ALERT, {"ts": stand.now, "seq": 4, "alert": "smoke"})
    assert not stand.alerts()[1].late


def test_events_of_a_severity_are_alerts(stand: Stand) -> None:
    topic = "iotflow/devices/boiler/telemetry/events"
    for event, severity in (("started", "info"), ("valve_stuck", "warning"), ("door", None)):
        stand.send(topic, {"event": event, "severity": severity, "timestamp": stand.now})
    assert [(alert.name, alert.severity.word) for alert in stand.alerts()] == [
        ("valve_stuck", "warning")
    ]


def test_a_trap_that_names_no_alert_when_it_clears_clears_its_own(stand: Stand) -> None:
    base = "tenant/acme/device/trap"
    said = {"alert_type": "trap_triggered", "severity": "high", "timestamp": stand.now // 1000}
    stand.send(f"{base}/alert", said)
    stand.send(ALERT, {"ts": stand.now, "alert": "leak"})
    stand.send(f"{base}/alert_cleared", {"status": "cleared", "timestamp": stand.now // 1000})
    assert {alert.name: alert.state for alert in stand.alerts()} == {
        "trap_triggered": State.CLEARED,
        "leak": State.RAISED,
    }


@pytest.fixture
def small(database: Database, migrated_url: str) -> Stand:
    return Stand(database, migrated_url, Bounds(open_per_device=5, kept_per_device=8))


def test_ten_thousand_names_are_a_few_rows_and_cost_only_their_device(small: Stand) -> None:
    for start in range(0, 10_000, 2_500):
        small.desk.batch(
            [
                packet(ALERT, {"ts": small.now, "alert": f"n{start + number}"})
                for number in range(2_500)
            ],
            small.now,
        )
    small.send("mooring/rival/b/alert", {"ts": small.now, "alert": "leak"})
    assert len(small.alerts(device_id=1)) == 5
    assert len(small.alerts(device_id=2)) == 1
    assert small.counter("alerts_not_raised") == 9_995
    small.desk.close()


def test_raising_and_clearing_other_names_each_time_keeps_a_bounded_number(small: Stand) -> None:
    for start in range(0, 600, 100):
        some = []
        for number in range(start, start + 100):
            some.append(
                packet(ALERT, {"ts": small.now, "seq": 2 * number + 1, "alert": f"n{number}"})
            )
            some.append(
                packet(CLEARED, {"ts": small.now, "seq": 2 * number + 2, "alert": f"n{number}"})
            )
        small.desk.batch(some, small.now)
        assert len(small.alerts()) <= 5 + 8 + 1
    small.desk.close()


def test_flapping_is_one_alert_with_a_bounded_history(stand: Stand) -> None:
    for number in range(400):
        topic = CLEARED if number % 2 else ALERT
        stand.send(topic, {"ts": stand.now, "seq": number + 1, "alert": "door"})
        stand.after(1)
    (alert,) = stand.alerts()
    assert (alert.state, alert.count) == (State.CLEARED, 200)
    assert len(stand.events(alert.id)) == 100
    stand.after(120)
    stand.send(ALERT, {"ts": stand.now, "seq": 1000, "alert": "door"})
    assert len(stand.alerts()) == 2


@pytest.mark.parametrize(
    "name", ["\0", "x" * 5000, "'; DROP TABLE alerts; --", "\ud83d", "<script>", " ", "%s{}"]
)
def test_hostile_names_and_texts_are_only_texts(stand: Stand, name: str) -> None:
    said = {"ts": stand.now, "seq": 1, "alert": name, "message": name, "severity": name}
    stand.send(ALERT, said)
    stand.send("mooring/rival/b/alert", {"ts": stand.now, "alert": "leak"})
    assert [alert.device for alert in stand.alerts() if alert.name == "leak"] == ["rival:b"]
    assert all(len(alert.name) <= 200 and "\0" not in alert.name for alert in stand.alerts())


def test_long_names_that_begin_alike_are_two_alerts(stand: Stand) -> None:
    for number, end in enumerate("ab", start=1):
        stand.send(ALERT, {"ts": stand.now, "seq": number, "alert": "x" * 120 + end})
    assert len(stand.alerts()) == 2
