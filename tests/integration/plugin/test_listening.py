"""Which devices listen to a topic now, and what tells of a subscription."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.accounts_db import AccountsDb, Watch, facts
from tests.support.mqtt import MqttClient
from tests.support.waiting import wait_until

Connect = Callable[..., MqttClient]

DOWN = "home/pump/down"


@pytest.fixture
def pump(accounts: AccountsDb, watch: Watch) -> str:
    rights = {"publish": (), "subscribe": ("home/\x01/down/#",), "values": ("pump",)}
    watch.apply(accounts.put(facts("pump", **rights)))
    return "pump"


def listening(watch: Watch, *pairs: tuple[str, str]) -> list[int]:
    text = "-".join(f"{user.encode().hex()}.{topic.encode().hex()}" for user, topic in pairs)
    found: list[int] = watch.poke(listening=text)["listening"]
    return found


def hears(watch: Watch, topic: str = f"{DOWN}/open", username: str = "pump") -> bool:
    return listening(watch, (username, topic))[0] > 0


def test_a_device_listens_from_its_subscription_on(
    connect: Connect, watch: Watch, pump: str
) -> None:
    assert not hears(watch)
    client = connect(pump)
    assert not hears(watch), "connected is not subscribed"
    client.subscribe(f"{DOWN}/+")
    assert hears(watch)
    assert not hears(watch, DOWN), "another topic"
    session = watch.event("login", user=pump)["session"]
    assert listening(watch, (pump, f"{DOWN}/x"), ("fan", f"{DOWN}/x")) == [session, 0]
    client.unsubscribe(f"{DOWN}/+")
    assert not hears(watch)
    client.subscribe(f"{DOWN}/#")
    assert hears(watch, DOWN)
    client.disconnect()
    wait_until(lambda: not hears(watch), "the end of the session to count")


def test_somebody_who_watches_everything_is_not_the_device(
    connect: Connect, watch: Watch, reader: MqttClient, pump: str
) -> None:
    reader.subscribe("#")
    connect(pump)
    assert not hears(watch)


def test_a_subscription_that_was_refused_counts_for_nothing(
    accounts: AccountsDb, connect: Connect, watch: Watch, pump: str
) -> None:
    watch.apply(accounts.put(facts("fan", publish=(), subscribe=("home/fan/#",))))
    client = connect("fan")
    client._client.subscribe(f"{DOWN}/#")
    client.subscribe("home/fan/x")  # answered after it
    assert not hears(watch, username="fan")
    assert hears(watch, "home/fan/x", "fan")


def test_a_session_that_the_broker_resumed_has_its_subscriptions(
    connect: Connect, watch: Watch, pump: str
) -> None:
    first = connect(pump, client_id="p", clean=False)
    first.subscribe(f"{DOWN}/#")
    first.disconnect()
    wait_until(lambda: not hears(watch), "the end of the session to count")
    connect(pump, client_id="p", clean=False)
    assert hears(watch)


def test_a_subscription_is_told_at_once(
    connect: Connect, watch: Watch, reader: MqttClient, pump: str
) -> None:
    reader.subscribe("$mooring/authority/subscribed")
    client = connect(pump)
    client.subscribe(f"{DOWN}/a", f"{DOWN}/b")
    assert [one.payload for one in reader.collect(2)] == [b"pump", b"pump"]
    for _ in range(60):
        client.subscribe(f"{DOWN}/a")
    watch.poke()
    assert len(reader.waiting()) <= 40, "one that subscribes without end is reported occasionally"


def test_more_subscriptions_than_are_remembered(connect: Connect, watch: Watch, pump: str) -> None:
    client = connect(pump)
    for number in range(70):
        client.subscribe(f"{DOWN}/{number}")
    assert hears(watch, f"{DOWN}/3")
    assert hears(watch, f"{DOWN}/69")


@pytest.mark.parametrize(
    "text", ["", "zz", "6", "70756d70", "70756d70.", ".61", "70756d70.61-", "00.61", "é.é"]
)
def test_a_question_that_cannot_be_read(watch: Watch, text: str) -> None:
    answer = watch.poke(listening=text)["listening"]
    assert all(one <= 0 for one in answer)
    assert json.dumps(answer)


def test_no_more_questions_than_the_answer_has_room_for(watch: Watch) -> None:
    assert listening(watch, *[("pump", "a")] * 100) == [0] * 64
