"""Logins, rights, changes and evidence, as a broker with the plugin gives them."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from mooring.broker.connection import Endpoint
from mooring.broker.plugin_control import PluginControl
from tests.support.accounts_db import EVENTS, SERVICE, AccountsDb, Watch, facts, verifier
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient, Refused
from tests.support.ports import free_port
from tests.support.waiting import wait_until

Connect = Callable[..., MqttClient]

RIGHTS = {
    "publish": ("home/\x01/up/#",),
    "subscribe": ("home/\x01/down/#",),
    "values": ("pump",),
}


def refused(connect: Connect, *words: str | None, **options: object) -> None:
    with pytest.raises(Refused) as found:
        connect(*words, **options)
    assert found.value.code in (5, 0x87)


# --- logins


def test_a_login_is_accepted_with_either_password_and_says_which(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump", next_verifier=verifier("next"))))
    for client_id in ("a", "b"):  # the second time without PBKDF2
        for password, used in (("secret", "password"), ("next", "new_password")):
            connect("pump", password, client_id=client_id).disconnect()
            event = watch.event("login", user="pump")
            assert (event["with"], event["client"], event["clean"]) == (used, client_id, True)
            assert event["keepalive"] == 60
            assert watch.event("gone", user="pump")["with"] == used


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ((None, None, "x"), "no_username"),
        (("nobody", "secret", "x"), "unknown_username"),
        (("pump", None, "x"), "no_password"),
        (("pump", "wrong", "x"), "wrong_password"),
        (("bare", "secret", "x"), "certificate_only"),
        (("shut", "secret", "x"), "locked"),
        (("fixed", "secret", "x"), "wrong_client_id"),
        (("pump", "secret", "mine"), "client_id_of_another"),
        (("pump", "secret", "kept"), "client_id_of_another"),
        (("pump", "secret", "mooring-x"), "client_id_of_another"),
    ],
)
def test_a_refused_login_names_its_reason(
    accounts: AccountsDb,
    connect: Connect,
    watch: Watch,
    shown: tuple[str | None, str | None, str],
    why: str,
) -> None:
    username, password, client_id = shown
    accounts.put(facts("pump"), facts("bare", None), facts("shut", locked=True))
    accounts.put(facts("fixed", client_id="mine"))
    watch.apply(accounts.run([("INSERT INTO session VALUES('kept', 'fan')", ())], []))
    refused(connect, username, password, client_id=client_id)
    event = watch.event("refused")
    assert (event["why"], event.get("user"), event["client"]) == (why, username, client_id)


def test_a_client_id_in_use_is_not_taken_by_another_account(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump"), facts("fan")))
    pump = connect("pump", client_id="shared")
    refused(connect, "fan", client_id="shared")
    assert watch.event("refused")["why"] == "client_id_of_another"
    connect("pump", client_id="shared")  # its own: the older session ends
    pump.wait_for_disconnect()
    assert watch.event("gone", client="shared")["why"] == "taken_over"


def test_connections_are_counted_for_account_and_tenant(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    accounts.run([("INSERT INTO tenant VALUES('acme', 3, NULL, NULL)", ())], [None])
    watch.apply(accounts.put(*(facts(n, tenant="acme", max_connections=2) for n in "ab")))
    first = connect("a", client_id="1")
    connect("a", client_id="2")
    connect("a", client_id="2")  # replaces its own
    refused(connect, "a", client_id="3")
    assert watch.event("refused")["why"] == "too_many_connections"
    connect("b", client_id="4")
    refused(connect, "b", client_id="5")
    assert watch.event("refused")["why"] == "tenant_too_many_connections"
    first.disconnect()
    watch.event("gone", client="1")
    connect("b", client_id="5")


# --- rights


def test_messages_go_where_the_rights_say(
    accounts: AccountsDb, connect: Connect, watch: Watch, reader: MqttClient
) -> None:
    watch.apply(accounts.put(facts("pump", **RIGHTS)))
    pump = connect("pump", protocol=MQTTProtocolVersion.MQTTv5)
    reader.subscribe("home/#")
    pump.subscribe("home/pump/down/#")
    pump.publish("home/pump/up/x", b"1")
    assert reader.collect()[0].payload == b"1"
    with pytest.raises(Refused):
        pump.publish("home/fan/up/x", b"\x00\xffpayload")
    event = watch.event("denied", user="pump", action="publish")
    assert (event["why"], event["topic"]) == ("no_right", "home/fan/up/x")
    assert base64.b64decode(event["sample"]) == b"\x00\xffpayload"
    for wide in ("#", "home/+/down/#", "home/pump/#", "$SYS/#", EVENTS):
        with pytest.raises(Refused):
            pump.subscribe(wide)
    watch.event("denied", action="subscribe", why="reserved")


def test_a_message_is_not_delivered_once_the_right_is_gone(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump", **RIGHTS)))
    pump = connect("pump")
    pump.subscribe("home/pump/down/#")
    watch.apply(accounts.put(facts("pump", subscribe=("other",), values=("pump",))))
    watch.client.publish("home/pump/down/x", b"secret")
    watch.client.publish("other", b"")
    assert watch.event("denied", action="read")["topic"] == "home/pump/down/x"
    assert pump.waiting() == []


# --- changes


@pytest.mark.parametrize("why", ["kicked", "locked", "removed", "wrong_client_id"])
def test_a_session_that_must_end_has_ended_when_the_change_is_in_force(
    accounts: AccountsDb, connect: Connect, watch: Watch, why: str
) -> None:
    watch.apply(accounts.put(facts("pump"), facts("fan")))
    pump, fan = connect("pump", client_id="p"), connect("fan", client_id="f")
    watch.apply(
        {
            "kicked": lambda: accounts.put(facts("pump"), epoch=1),
            "locked": lambda: accounts.put(facts("pump", locked=True)),
            "removed": lambda: accounts.remove("pump"),
            "wrong_client_id": lambda: accounts.put(facts("pump", client_id="other")),
        }[why]()
    )
    pump.wait_for_disconnect()
    assert watch.event("gone", user="pump")["why"] == why
    assert fan.connected
    if why in ("kicked",):
        connect("pump", client_id="p")
    else:
        refused(connect, "pump", client_id="p")


def test_a_change_is_noticed_without_a_poke(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump")))
    pump = connect("pump")
    accounts.remove("pump")
    pump.wait_for_disconnect()
    assert watch.event("gone", user="pump")["why"] == "removed"


def test_many_sessions_end_over_several_turns(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    names = [f"pump-{n}" for n in range(60)]
    watch.apply(accounts.put(*map(facts, names)))
    clients = [connect(name, client_id=name) for name in names]
    watch.apply(accounts.run([("UPDATE account SET locked = 1 WHERE service = 0", ())], [None]))
    for client in clients:
        client.wait_for_disconnect()
    answer = watch.poke()
    assert (answer["kicked"], answer["sessions"]) == (60, 1)


def test_the_client_that_asks_may_end_itself(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    """The broker still works with the connection while it handles the request."""
    accounts.put(facts(SERVICE, "service", service=True), epoch=1)
    with suppress(AssertionError):  # it has found the new file by itself, and ended us already
        watch.client.publish("$CONTROL/mooring-authority/v1", b'{"nonce":"x"}', qos=0)
    watch.client.wait_for_disconnect()
    again = Watch(connect(SERVICE, "service", client_id="mooring-watch"))
    assert again.poke()["pending_kicks"] == 0


# --- limits


def test_a_client_over_its_rate_is_disconnected_and_not_acknowledged(
    accounts: AccountsDb, connect: Connect, watch: Watch, reader: MqttClient
) -> None:
    watch.apply(accounts.put(facts("pump", publish=("x",)), max_messages=1))
    reader.subscribe("x")
    pump = connect("pump")
    acknowledged = 0
    with pytest.raises(AssertionError, match=r"ended|not sent"):
        for _ in range(40):
            pump.publish("x", b"")
            acknowledged += 1
    assert 10 <= acknowledged < 40
    assert len(reader.collect(acknowledged)) == acknowledged
    assert watch.event("denied", user="pump")["why"] == "limit_messages"
    assert watch.event("gone", user="pump")["why"] == "limit_messages"


def test_bytes_are_limited_too_and_the_service_is_not(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    accounts.put(facts(SERVICE, "service", service=True), max_bytes=1, max_messages=1)
    watch.apply(accounts.put(facts("pump", publish=("x",)), max_bytes=100))
    pump = connect("pump")
    pump.publish("x", bytes(900))
    with pytest.raises(AssertionError, match=r"ended|not sent"):
        pump.publish("x", bytes(500))
    assert watch.event("gone", user="pump")["why"] == "limit_bytes"
    for _ in range(20):
        watch.client.publish("y", bytes(1000))


def test_who_was_over_a_limit_comes_back_when_it_may_send_again(
    accounts: AccountsDb, connect: Connect, watch: Watch, reader: MqttClient
) -> None:
    """Until then its connection is closed without an answer: its login is not wrong."""
    watch.apply(accounts.put(facts("pump", publish=("x",)), max_bytes=100))
    reader.subscribe("x")
    pump = connect("pump")
    pump.publish("x", bytes(990))
    with pytest.raises(AssertionError, match=r"ended|not sent"):
        pump.publish("x", bytes(950))  # in nine seconds; a second's worth is not enough for it
    with pytest.raises(AssertionError, match="ended"):
        connect("pump")
    answer = watch.poke()
    assert (answer["limited"], answer["put_off"], answer["refused"]) == (1, 1, 0)
    watch.apply(accounts.put(facts("pump", publish=("x",)), max_bytes=10_000))

    def accepted() -> MqttClient | None:
        with suppress(AssertionError):
            return connect("pump")
        return None

    again = wait_until(accepted, "the login to be accepted")
    assert again is not None
    again.publish("x", bytes(950))
    assert [len(one.payload) for one in reader.collect(2)] == [990, 950]


def test_a_limit_of_the_tenant_is_named_and_puts_nobody_off(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    """A neighbour has used it up: who finds it so is not the one who is over a limit."""
    accounts.run([("INSERT INTO tenant VALUES('acme', NULL, NULL, 100)", ())], [None])
    watch.apply(accounts.put(*(facts(n, tenant="acme", publish=("x",)) for n in "ab")))
    connect("a").publish("x", bytes(990))
    with pytest.raises(AssertionError, match=r"ended|not sent"):
        connect("b").publish("x", bytes(500))
    assert watch.event("gone", user="b")["why"] == "limit_tenant_bytes"
    assert connect("b").connected
    assert watch.poke()["put_off"] == 0


# --- evidence


def test_repetitions_are_counted_and_not_sent(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump")))
    for n in range(30):
        refused(connect, "pump", f"wrong-{n % 2}")
        refused(connect, f"nobody-{n}")
    answer = watch.poke()
    assert (answer["refused"], answer["repeated"]) == (60, 58)
    reasons = [e["why"] for e in watch.events_so_far() if e["kind"] == "refused"]
    assert reasons == ["wrong_password", "unknown_username"]


def test_what_is_counted_can_be_asked_for(
    accounts: AccountsDb, broker: Mosquitto, connect: Connect, watch: Watch
) -> None:
    """With the time of the newest, and without sending an event more than before."""
    name = 'p"u/\u00e9' + "x" * 240
    watch.apply(accounts.put(facts(name, publish=("x",)), facts("fan")))
    for user in (name, "fan"):
        for _ in range(5):
            refused(connect, user, "wrong")
    pump = connect(name, client_id="p")
    pump.publish("y")
    pump.publish("y")
    refused(connect, name, "wrong")
    before = watch.poke()["events"]
    sent = watch.event("login", user=name[:256])["at"]

    async def about(username: str) -> list[dict[str, Any]]:
        control = PluginControl(Endpoint(port=broker.port, username=SERVICE, password="service"))
        try:
            return [json.loads(one) for one in await control.about(username)]
        finally:
            await control.close()

    found = {e["kind"]: e for e in asyncio.run(about(name))}
    assert set(found) == {"refused", "denied"}
    assert (found["refused"]["count"], found["refused"]["why"]) == (5, "wrong_password")
    assert found["refused"]["at"] >= sent
    assert (found["denied"]["count"], found["denied"]["topic"]) == (1, "y")
    assert asyncio.run(about("fan"))[0]["user"] == "fan"
    assert asyncio.run(about("nobody")) == []
    assert watch.poke()["events"] == before


def test_the_last_state_of_a_restless_client_is_told(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump")))
    for _ in range(20):
        connect("pump", client_id="p").disconnect()
    answer = watch.poke()
    assert answer["logins"] == 21  # and the watch itself
    deadline = time.monotonic() + 20
    while (last := [e for e in watch.events_so_far() if e.get("user") == "pump"])[-1]["count"] < 2:
        assert time.monotonic() < deadline, last
        time.sleep(0.05)
    assert last[-1]["kind"] == "gone"
    assert sum(e["count"] for e in last) == 40


def test_events_are_numbered_without_a_gap(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(*(facts(f"p{n}") for n in range(5))))
    for n in range(5):
        connect(f"p{n}", client_id=f"p{n}").disconnect()
    events = [watch.event("gone", user=f"p{n}") for n in range(5)]
    numbers = [e["n"] for e in watch.events_so_far()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len({e["boot"] for e in events}) == 1
    now = time.time() * 1000
    assert all(abs(now - e["at"]) < 60_000 for e in events)


def test_an_oversize_message_is_told(
    accounts: AccountsDb, start_broker: Callable[..., Mosquitto], connect: Connect
) -> None:
    accounts.put(facts("pump", publish=("x",)))
    port = start_broker(accounts.path, options=("plugin_opt_message_size_limit 100",)).port
    watch = Watch(connect(SERVICE, "service", port=port, client_id="mooring-w"))
    pump = connect("pump", port=port)
    pump.publish("x", bytes(101))
    pump.publish("x", bytes(100))
    event = watch.event("oversize", user="pump")
    assert (event["topic"], len(base64.b64decode(event["sample"]))) == ("x", 101)
    assert watch.poke()["oversize"] == 1


def test_a_persistent_session_ends_with_an_event_too(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump", **RIGHTS)))
    pump = connect("pump", client_id="p", clean=False)
    pump.subscribe("home/pump/down/#")
    pump.disconnect()
    assert watch.event("gone", user="pump")["clean"] is False
    assert watch.poke()["sessions"] == 1
    watch.client.publish("home/pump/down/x", b"kept")
    again = connect("pump", client_id="p", clean=False)
    assert again.session_present
    assert again.collect()[0].payload == b"kept"


def test_a_restart_and_a_reload_keep_everybody(
    accounts: AccountsDb, connect: Connect, watch: Watch, broker: Mosquitto
) -> None:
    watch.apply(accounts.put(facts("pump", **RIGHTS)))
    pump = connect("pump")
    broker.reload()
    assert watch.poke()["file"] == "ok"
    pump.publish("home/pump/up/x", b"")


@pytest.mark.parametrize("locked", [False, True])
def test_a_reload_leaves_absent_clients_alone(
    accounts: AccountsDb, connect: Connect, watch: Watch, broker: Mosquitto, locked: bool
) -> None:
    """2.0 asks for them, too. Who is rejected is disconnected a second time, which corrupts the
    broker's list of sessions that expire: it dies later, at the latest when it stops. Who is
    accepted has not come."""
    watch.apply(accounts.put(facts("pump", **RIGHTS)))
    for _ in range(3):
        connect("pump", client_id="p", clean=False).disconnect()
        watch.event("gone", user="pump")
        watch.apply(accounts.put(facts("pump", locked=locked, **RIGHTS)))
        before = watch.events_so_far()
        for _ in range(2):
            broker.reload()
            assert watch.poke()["file"] == "ok"
        assert watch.poke()["sessions"] == 1  # that of the test
        assert watch.events_so_far() == before
        if locked:  # the reload is over: it asks who it is
            refused(connect, "pump", client_id="p", clean=False)
            watch.apply(accounts.put(facts("pump", **RIGHTS)))
    connect("pump", client_id="p", clean=True).disconnect()
    assert broker.stop() == 0


def test_the_kept_session_of_a_removed_account_costs_no_question_per_message(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    watch.apply(accounts.put(facts("pump", **RIGHTS)))
    pump = connect("pump", client_id="p", clean=False)
    pump.subscribe("home/pump/down/#")
    pump.disconnect()
    watch.event("gone", user="pump")
    watch.apply(accounts.remove("pump"))
    watch.client.publish("home/pump/down/x", b"1")
    before = watch.poke()
    for _ in range(50):
        watch.client.publish("home/pump/down/x", b"2")
    after = watch.poke()
    assert after["denied"] - before["denied"] == 50
    assert after["loads"] == before["loads"]
    watch.apply(accounts.put(facts("pump", **RIGHTS)))  # it is there again
    watch.client.publish("home/pump/down/x", b"3")
    again = connect("pump", client_id="p", clean=False)
    assert [m.payload for m in again.collect()] == [b"3"]


def test_websocket_sessions_have_ended_when_the_change_is_in_force(
    accounts: AccountsDb, start_broker: Callable[..., Mosquitto], connect: Connect
) -> None:
    ws = free_port()
    lines = (f"listener {ws} 127.0.0.1", "protocol websockets")
    port = start_broker(accounts.path, *lines).port
    watch = Watch(connect(SERVICE, "service", port=port, client_id="mooring-w"))
    watch.apply(accounts.put(facts("pump")))
    pump = connect("pump", port=ws, client_id="p", transport="websockets")
    answer = watch.apply(accounts.put(facts("pump", locked=True)))
    assert (answer["kicked"], answer["sessions"]) == (1, 1)
    pump.wait_for_disconnect()
    assert watch.event("gone", user="pump")["why"] == "locked"
