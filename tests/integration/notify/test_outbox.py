"""From readings to notifications: the outbox in the alert's transaction, and groups."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from mooring.alerts import removal
from mooring.alerts import store as alert_store
from mooring.alerts.changes import apply
from mooring.alerts.model import Bounds, Clear, Raise, Severity, Source, platform_key
from mooring.alerts.service import Alerts
from mooring.devices.service import Devices
from mooring.identity.actor import SYSTEM
from mooring.notify import group_store, store
from mooring.notify.model import Kind
from mooring.notify.planner import Planner
from mooring.store.engine import now_ms
from mooring.store.schema import notifications
from tests.integration.notify.conftest import SECOND, Notifying
from tests.support.projecting import CATALOGUE, INSTANCE

HOT = {"metric": "temperature", "operator": ">", "value": 30}
ALERT, CLEARED = "mooring/acme/a/alert", "mooring/acme/a/alert_cleared"
HOUR = 3600


def people(stand: Notifying) -> Alerts:
    devices = Devices(stand.database, CATALOGUE, INSTANCE, stand.settings)
    return Alerts(stand.database, devices)


def test_ten_minutes_over_the_threshold_are_one_notification(stand: Notifying) -> None:
    ops = stand.recipient()
    stand.rule(HOT)
    for second in range(0, 600, 2):
        stand.say({"temperature": 31.5})
        stand.after(2)
        if second % 20 == 0:
            stand.step()
            stand.plan()
    assert len(stand.alerts()) == 1
    assert stand.bodies(ops) == [[("raised", "hot")]]
    assert stand.outbox() == [(ops.id, "told")]


def test_two_hours_of_queued_readings_notify_nobody(stand: Notifying) -> None:
    ops = stand.recipient(wait_seconds=0)
    stand.rule(HOT)
    some = [({"temperature": 50}, float(age)) for age in range(2 * HOUR, 310, -30)]
    stand.say_all(some)
    for age in (7000, 6000):
        stand.send(ALERT, {"alert": "smoke", "ts": stand.now - age * SECOND})
    stand.step()
    stand.plan(2 * HOUR)
    assert stand.outbox() == []
    assert stand.made(ops) == []


def test_a_late_alert_that_is_true_now_is_sent(stand: Notifying) -> None:
    ops = stand.recipient()
    stand.send(ALERT, {"alert": "smoke", "ts": stand.now - 6000 * SECOND})
    stand.plan(60)
    assert stand.made(ops) == []
    stand.send(ALERT, {"alert": "smoke", "ts": stand.now})
    stand.plan(60)
    assert stand.bodies(ops) == [[("raised", "smoke")]]


def test_the_end_is_sent_to_those_who_got_the_beginning(stand: Notifying) -> None:
    ops, late = stand.recipient(), stand.recipient("late", wait_seconds=600)
    quiet = stand.recipient("beginnings", cleared=False)
    stand.send(ALERT, {"alert": "smoke"})
    stand.plan(60)
    stand.send(CLEARED, {"alert": "smoke"})
    stand.plan(HOUR)
    assert stand.bodies(ops) == [[("raised", "smoke")], [("cleared", "smoke")]]
    assert stand.bodies(late) == []
    assert stand.bodies(quiet) == [[("raised", "smoke")]]
    assert stand.outbox() == []
    first, second = stand.made(ops)
    assert second.created_at - first.created_at == 300 * SECOND


def test_the_end_is_sent_when_the_device_is_removed(
    stand: Notifying, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops, late = stand.recipient(), stand.recipient("late", wait_seconds=600)
    quiet = stand.recipient("beginnings", cleared=False)
    stand.send(ALERT, {"alert": "smoke"})
    stand.plan(60)
    monkeypatch.setattr(removal, "now_ms", lambda: stand.now)
    devices = Devices(
        stand.database, CATALOGUE, INSTANCE, removed=removal.device_removed, recover_days=1
    )
    devices.remove(SYSTEM, "acme:a")
    stand.plan(HOUR)
    assert stand.bodies(ops) == [[("raised", "smoke")], [("cleared", "smoke")]]
    assert stand.bodies(late) == []
    assert stand.bodies(quiet) == [[("raised", "smoke")]]
    assert stand.outbox() == []
    (alert,) = stand.alerts()
    assert (alert.device, alert.device_id, alert.cleared_by) == ("acme:a", None, SYSTEM.name)
    with stand.database.read() as connection:
        history = alert_store.history(connection, alert.id)
        bodies = connection.execute(
            sa.select(notifications.c.body).order_by(notifications.c.id)
        ).scalars()
        assert {json.loads(one)["alerts"][0]["device"] for one in bodies} == {"a"}
    assert (history[-1].event, history[-1].detail) == ("cleared", removal.WHY)


def test_alerts_that_come_together_go_together(stand: Notifying) -> None:
    ops = stand.recipient()
    for number in range(70):
        stand.send(ALERT, {"alert": f"n{number}"})
        if number < 25:
            stand.after(1)
    stand.plan(60)
    (made,) = stand.made(ops)
    assert made.alerts == 50  # alerts_open_max_per_device
    assert len(stand.bodies(ops)[0]) == 50
    stand.plan(4 * HOUR)
    assert len(stand.made(ops)) == 2  # repeated while they are open


def test_severity_names_and_devices_decide(stand: Notifying) -> None:
    everything = stand.recipient("all", severity="info")
    severe = stand.recipient("severe", severity="error")
    named = stand.recipient("named", alerts=["fire*"])
    other = stand.recipient("other", devices=["b"])
    stand.send(ALERT, {"alert": "fire-1", "severity": "warning"})
    stand.plan(60)
    assert [len(stand.made(one)) for one in (everything, severe, named, other)] == [1, 0, 1, 0]
    stand.send(ALERT, {"alert": "fire-1", "severity": "critical"})
    stand.plan(400)
    assert stand.bodies(severe) == [[("raised", "fire-1")]]
    assert stand.bodies(everything)[1:] == [[("worse", "fire-1")]]


def test_nobody_hears_of_another_tenant(stand: Notifying) -> None:
    other = stand.recipient("ops", tenant="rival")
    mine = stand.recipient("ops")
    platform = stand.recipient("admins", platform=True)
    stand.send(ALERT, {"alert": "smoke"})
    stand.platform_alert("disk_full")
    stand.plan(60)
    assert stand.bodies(other) == []
    assert stand.bodies(mine) == [[("raised", "smoke")]]
    assert sorted(stand.bodies(platform)) == [[("raised", "disk_full")], [("raised", "smoke")]]


def test_a_tenant_with_many_groups_leaves_room_to_others(stand: Notifying) -> None:
    rival = stand.recipient(tenant="rival", wait_seconds=0)
    stand.recipient(wait_seconds=0)
    for number in range(12):
        name = f"check_{number}"
        stand.platform_alert(name, key=platform_key(name), tenant="acme")
    stand.after(1)
    stand.platform_alert("late", key=platform_key("late"), tenant="rival")
    with stand.database.read() as connection:
        found = group_store.due_groups(connection, stand.now, 10)
    assert [one.tenant for one in found] == ["acme", "rival", *["acme"] * 8]
    assert found[1] == (rival.id, "platform:late", "rival")


def test_what_becomes_critical_in_a_quiet_time_does_not_wait_for_its_end(stand: Notifying) -> None:
    ops = stand.recipient(quiet=[{"days": ["mon", "tue", "wed", "thu", "fri", "sat"]}])
    stand.now += (-stand.now % 604_800_000) + 5 * 86_400_000  # a Tuesday, UTC
    stand.platform_alert("check", tenant="acme", severity=Severity.WARNING)
    stand.plan(600)
    assert stand.made(ops) == []
    stand.platform_alert("check", tenant="acme", severity=Severity.CRITICAL)
    stand.plan(60)
    assert stand.bodies(ops) == [[("raised", "check")]]


def test_statements_do_not_grow_with_alerts_and_recipients(stand: Notifying) -> None:
    asked: list[str] = []

    def before(_c: object, _u: object, statement: str, _p: object, _x: object, many: bool) -> None:
        if "notification_items" in statement:
            assert not many, statement
            asked.append(statement)

    def lives(number: int, recipients: int) -> list[str]:
        """Statements of alerts that are raised, become worse and end."""
        asked.clear()
        keys = [platform_key(f"check_{recipients}_{one}") for one in range(number)]
        first = Raise(
            "", "acme", None, Source.PLATFORM, "check", Severity.WARNING, stand.now, "full"
        )
        raised = [replace(first, key=key) for key in keys]
        worse = [replace(one, severity=Severity.ERROR) for one in raised]
        ends = [Clear(key, stand.now) for key in keys]
        left = []
        event.listen(stand.database.engine, "before_cursor_execute", before)
        for changes in (raised, worse, ends):
            with stand.database.write() as connection:
                apply(connection, changes, stand.bounds)
            left.append(len(stand.outbox()))
        event.remove(stand.database.engine, "before_cursor_execute", before)
        assert left == [number * recipients, number * recipients, 0]
        return list(asked)

    stand.recipient()
    one = lives(1, 1)
    stand.recipient("second")
    stand.recipient("third")
    assert lives(20, 3) == one


def test_the_broker_being_down_hides_its_devices(stand: Notifying) -> None:
    ops = stand.recipient(platform=True)
    stand.send(ALERT, {"alert": "before"})
    stand.plan(40)
    stand.after(300)
    stand.platform_alert()
    stand.send(ALERT, {"alert": "silent"})
    stand.plan(600)
    assert ("raised", "silent") not in [one for body in stand.bodies(ops) for one in body]
    assert [("raised", "broker_unreachable")] in stand.bodies(ops)
    stand.platform_clear()
    stand.plan(600)
    said = [one for body in stand.bodies(ops) for one in body]
    assert ("raised", "silent") in said
    assert ("cleared", "broker_unreachable") in said


def test_a_snoozed_alert_is_sent_when_the_snooze_ends(stand: Notifying) -> None:
    ops = stand.recipient()
    stand.send(ALERT, {"alert": "smoke"})
    (alert,) = stand.alerts()
    with stand.database.write() as connection:  # the service has the real clock
        values = {"snoozed_until": stand.now + HOUR * SECOND}
        alert_store.change(connection, alert.id, values)
    stand.plan(HOUR - 10)
    assert stand.made(ops) == []
    stand.plan(60)
    assert stand.bodies(ops) == [[("raised", "smoke")]]


def test_a_snooze_that_ends_early_is_noticed(stand: Notifying) -> None:
    stand.now = now_ms()  # the service's clock
    ops = stand.recipient()
    stand.send(ALERT, {"alert": "smoke"})
    (alert,) = stand.alerts()
    people(stand).snooze(SYSTEM, alert.id, HOUR * SECOND)
    stand.plan(HOUR // 2)
    assert stand.made(ops) == []
    people(stand).snooze(SYSTEM, alert.id, 0)
    stand.plan()
    assert stand.bodies(ops) == [[("raised", "smoke")]]


def test_people_change_alerts_and_recipients_hear(stand: Notifying) -> None:
    ops = stand.recipient()
    severe = stand.recipient("severe", severity="critical")
    stand.send(ALERT, {"alert": "smoke"})
    stand.plan(60)
    (alert,) = stand.alerts()
    people(stand).set_severity(SYSTEM, alert.id, Severity.CRITICAL)
    assert stand.outbox() == [(ops.id, "worse"), (severe.id, "pending")]
    people(stand).clear(SYSTEM, alert.id)
    assert stand.outbox() == [(ops.id, "ending")]


def test_an_acknowledged_alert_is_not_repeated(stand: Notifying) -> None:
    ops = stand.recipient()
    stand.send(ALERT, {"alert": "smoke"})
    stand.plan(60)
    (alert,) = stand.alerts()
    people(stand).acknowledge(SYSTEM, alert.id)
    stand.plan(13 * HOUR)
    assert len(stand.made(ops)) == 1


def test_the_end_of_an_alert_with_a_full_history_is_sent(
    stand: Notifying, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 3
    monkeypatch.setattr("mooring.alerts.changes.HISTORY_MAX", most)
    ops = stand.recipient(wait_seconds=0, interval_seconds=0)
    for _ in range(most):
        stand.send(ALERT, {"alert": "smoke"})
        stand.plan()
        stand.send(CLEARED, {"alert": "smoke"})
        stand.plan()
        stand.after(1)
    (alert,) = stand.alerts()
    assert len(stand.events(alert.id)) == most
    assert len(stand.made(ops)) == 2 * most
    assert stand.bodies(ops)[-1] == [("cleared", "smoke")]


def test_a_kill_between_alert_and_notification_loses_and_repeats_nothing(stand: Notifying) -> None:
    ops = stand.recipient()
    stand.send(ALERT, {"alert": "smoke"})
    stand.kill()
    stand.plan(29)
    stand.kill()
    stand.plan(5)
    stand.kill()
    stand.plan(HOUR)
    assert stand.bodies(ops) == [[("raised", "smoke")]]


def test_a_switched_off_recipient_forgets(stand: Notifying) -> None:
    ops = stand.recipient()
    stand.send(ALERT, {"alert": "smoke"})
    stand.recipients.change(SYSTEM, "ops", enabled=False)
    assert stand.outbox() == []
    stand.send(ALERT, {"alert": "fire"})
    stand.plan(60)
    assert stand.made(ops) == []
    stand.recipients.change(SYSTEM, "ops", enabled=True)
    stand.send(ALERT, {"alert": "flood"})
    stand.plan(60)
    assert stand.bodies(ops) == [[("raised", "flood")]]


def test_alertmanager_gets_each_change_and_open_alerts_every_minute(stand: Notifying) -> None:
    am = stand.recipient(kind=Kind.ALERTMANAGER, target="https://am.example.org")
    stand.send(ALERT, {"alert": "smoke"})
    stand.plan()
    assert stand.bodies(am) == [[("raised", "smoke")]]
    stand.plan(185)
    assert len(stand.bodies(am)) == 4
    stand.send(CLEARED, {"alert": "smoke"})
    stand.plan(300)
    assert stand.bodies(am)[4:] == [[("cleared", "smoke")]]


def test_a_recipient_with_a_full_queue_gets_the_rest_later(stand: Notifying) -> None:
    ops = stand.recipient(wait_seconds=0, interval_seconds=0)
    stand.planner = Planner(stand.database, waiting_max=2, clock=lambda: stand.now / 1000)
    for name in ("a", "b", "c", "d"):
        stand.send(ALERT, {"alert": name})
        stand.plan(1)
    assert len(stand.made(ops)) == 2
    assert [state for _, state in stand.outbox()] == ["told", "told", "pending", "pending"]
    assert stand.counter("notifications_delayed") > 0

    with stand.database.write() as connection:
        for one in stand.made(ops):
            store.remove_notification(connection, one.id)
    stand.plan(15)
    said = {name for body in stand.bodies(ops) for status, name in body if status == "raised"}
    assert said == {"c", "d"}


@pytest.mark.parametrize("bounds", [Bounds(kept_per_device=3)])
def test_removed_alerts_leave_the_outbox(stand: Notifying, bounds: Bounds) -> None:
    stand.bounds = bounds
    ops = stand.recipient(wait_seconds=0, interval_seconds=86_400)
    for number in range(12):
        stand.send(ALERT, {"alert": f"n{number}"})
        stand.plan(1)
        stand.send(CLEARED, {"alert": f"n{number}"})
        stand.after(100)
    assert len(stand.outbox()) <= len(stand.alerts())
    assert len(stand.made(ops)) >= 1
