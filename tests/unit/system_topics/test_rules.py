"""What is published where: figures of a tenant reach no other one, alerts begin and end once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import load_all
from mooring.dialects.model import Attribute, Channel, Direction, Kind
from mooring.system_topics.rules import (
    Alerts,
    GroupCounts,
    Subject,
    alert,
    broker_figures,
    channels_of,
    fleet_status,
    subject_of,
    system_message,
)
from mooring.telemetry.problems import Problem

CATALOGUE = load_all(None)
IOTFLOW = CATALOGUE.get("iotflow")
OF = dict(channels_of(IOTFLOW))
NOW = 1_771_000_000_000


def test_the_channels_of_each_dialect() -> None:
    assert {one.name: len(channels_of(one)) for one in CATALOGUE.all() if channels_of(one)} == {
        "iotflow": 7
    }
    assert {subject: channel.topic for subject, channel in OF.items()} == {
        Subject.FLEET: "iotflow/fleet/status/{group_id}",
        Subject.HEALTH: "iotflow/system/health",
        Subject.METRICS: "iotflow/system/metrics",
        Subject.ALERTS: "iotflow/system/alerts",
        Subject.BROKER: "iotflow/monitoring/broker",
        Subject.CLIENTS: "iotflow/monitoring/clients",
        Subject.TRAFFIC: "iotflow/monitoring/traffic",
    }
    # No device of the dialect may read them.
    assert all(channel.operator_only for channel in OF.values())


def of_tenant(subject: Subject) -> Channel:
    channel = OF[subject]
    topic = channel.topic.replace("iotflow/", "x/{t}/")
    return replace(
        channel, topic=topic, placeholders={**channel.placeholders, "t": Attribute.TENANT}
    )


@pytest.mark.parametrize("subject", [one for one in Subject if one is not Subject.FLEET])
def test_a_topic_of_a_tenant_carries_nothing_of_the_installation(subject: Subject) -> None:
    whole, own = OF[subject], of_tenant(subject)
    assert system_message(subject, whole, "a", {"devices": 1}, NOW) is None
    assert system_message(subject, own, None, {"devices": 1}, NOW) is None
    found = system_message(subject, own, "a", {"devices": 1}, NOW)
    if subject in (Subject.METRICS, Subject.CLIENTS):
        assert found is not None
        assert found.topic.startswith("x/a/")
        assert json.loads(found.payload)["devices"] == 1
    else:
        assert found is None


def test_what_the_platform_cannot_fill_or_a_device_could_read_is_left_alone() -> None:
    health = OF[Subject.HEALTH]
    assert subject_of(replace(health, operator_only=False)) is None
    assert subject_of(replace(health, topic="iotflow/system/weather")) is None
    device = replace(health, topic="iotflow/{d}/health", placeholders={"d": Attribute.DEVICE})
    assert subject_of(device) is None
    up = Channel("x", "x", Direction.UP, Kind.TELEMETRY)
    assert subject_of(up) is None


def test_the_status_of_groups() -> None:
    channel = OF[Subject.FLEET]
    counts = [GroupCounts("a", "g", 3, 1), GroupCounts("b", "g", 2, 2), GroupCounts("a", "h", 1, 0)]
    assert fleet_status(channel, counts, 10) == (
        {
            "iotflow/fleet/status/g": {"devices": 5, "online": 3},
            "iotflow/fleet/status/h": {"devices": 1, "online": 0},
        },
        0,
    )
    # A topic that devices of two tenants could read is not published.
    found, _ = fleet_status(replace(channel, operator_only=False), counts, 10)
    assert list(found) == ["iotflow/fleet/status/h"]
    own, _ = fleet_status(replace(of_tenant(Subject.FLEET), operator_only=False), counts, 10)
    assert own["x/a/fleet/status/g"] == {"devices": 3, "online": 1}
    assert own["x/b/fleet/status/g"] == {"devices": 2, "online": 2}
    many = [GroupCounts("a", f"g{n}", 1, 0) for n in range(5)]
    kept, left = fleet_status(channel, many, 3)
    assert (len(kept), left) == (3, 2)


def test_what_the_broker_says() -> None:
    said = {
        "$SYS/broker/version": b"mosquitto version 2.0.11",
        "$SYS/broker/uptime": b"86000 seconds",
        "$SYS/broker/messages/received": b"120",
        "$SYS/broker/bytes/sent": b"\xff",
    }
    assert broker_figures(said) == {
        Subject.BROKER: {"version": "2.0.11", "uptime": 86000},
        Subject.TRAFFIC: {"received": 120},
    }
    assert broker_figures({}) == {Subject.BROKER: {}, Subject.TRAFFIC: {}}


A, B = Problem("a", "", "A."), Problem("b", "x", "B.")


def test_an_alert_begins_and_ends_with_two_looks_in_a_row() -> None:
    alerts = Alerts()
    looks = [[A], [], [A], [A, B], [A, B], [A, B], [], [A], [], []]
    said = [[(one.problem.code, one.active) for one in alerts.look(now)] for now in looks]
    assert said == [
        [],
        [],
        [],
        [("a", True)],
        [("b", True)],
        [],
        [],
        [("b", False)],
        [],
        [("a", False)],
    ]


@given(st.lists(st.lists(st.sampled_from([A, B]), max_size=2, unique=True), max_size=40))
def test_beginning_and_end_take_turns(looks: list[list[Problem]]) -> None:
    alerts = Alerts()
    state: dict[str, bool] = {}
    for now in (*looks, [], []):
        for change in alerts.look(now):
            assert state.get(change.problem.code, False) is not change.active
            state[change.problem.code] = change.active
    assert not any(state.values())


def test_an_alert_on_its_topic() -> None:
    alerts = Alerts()
    alerts.look([B])
    [change] = alerts.look([B])
    found = alert(OF[Subject.ALERTS], change, NOW)
    assert found is not None
    said = json.loads(found.payload)
    assert (found.topic, found.retain) == ("iotflow/system/alerts", False)
    assert (said["alert"], said["active"], said["subject"]) == ("b", True, "x")
    assert alert(of_tenant(Subject.ALERTS), change, NOW) is None
