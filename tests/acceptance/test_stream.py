"""The live stream of the real program, as frontends use it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.mqtt import MqttClient
from tests.support.platform import Login, Platform
from tests.support.stream import StreamClient
from tests.support.waiting import wait_until
from tests.unit.pki.making import serial


@pytest.fixture(scope="module")
def port(platform: Platform) -> int:
    return platform.ports["http_port"]


def key(platform: Platform, *words: str) -> str:
    name = f"stream-{serial()}"
    made = platform.cli("key", "new", name, "--role", "viewer", *words, "--json").json()
    secret: str = made["secret"]
    return secret


@pytest.fixture(scope="module")
def viewer(platform: Platform) -> str:
    return key(platform)


@contextmanager
def connected(platform: Platform, login: Login) -> Iterator[MqttClient]:
    with platform.connect(login) as client:
        yield client


def say(
    client: MqttClient, login: Login, values: dict[str, Any], channel: str = "telemetry"
) -> None:
    payload = json.dumps({"values": values})
    client.publish(login.topics[channel], payload.encode(), qos=1)


def test_a_frontend_follows_one_home(platform: Platform, port: int) -> None:
    """What the frontends of a smart home need: live readings, status and alerts of one home."""
    home, other = f"home-{serial()}", f"other-{serial()}"
    lamp = platform.add(f"lamp-{serial()}", "smarthome", "--tenant", home)
    neighbour = platform.add(f"lamp-{serial()}", "smarthome", "--tenant", other)
    token = key(platform, "--tenant", home)
    with (
        StreamClient(port, token) as stream,
        platform.connect(lamp) as client,
        platform.connect(neighbour) as foreign,
    ):
        welcome = stream.next()["welcome"]
        assert welcome["tenant"] == home
        stream.subscribe(kinds=["telemetry", "status", "alert", "presence"])
        foreign.publish(neighbour.topics["telemetry"], b'{"sensors":{"secret":42}}', qos=1)
        client.publish(lamp.topics["telemetry"], b'{"sensors":{"temperature":21.5}}', qos=1)
        client.publish(lamp.topics["status"], b'{"online":true,"status":{"wifiSignal":-58}}', qos=1)
        stream.sees(lamp.device, "temperature", 21.5)
        stream.sees(lamp.device, "state", "online", "presence")
        stream.sees(lamp.device, "online", value=True, kind="status")
        assert {device for device, _, _ in stream.view} == {lamp.device}


def test_it_begins_with_what_is_stored(platform: Platform, port: int, viewer: str) -> None:
    one, two = (platform.add(f"stored-{serial()}", "mooring") for _ in range(2))
    for login, value in ((one, 1), (two, 2)):
        with platform.connect(login) as client:
            say(client, login, {"level": value})
    wait_until(lambda: platform.stored(two) == platform.stored(one) == 1, "both messages")
    with StreamClient(port, viewer) as stream:
        last = stream.subscribe(devices=[one.reference], kinds=["telemetry"])
        assert (last["more"], last.get("gap")) == (False, None)
        assert stream.view == {(one.device, "telemetry", "level"): 1}
        stream.subscribe("2", devices=[two.username])
        assert stream.view[two.device, "telemetry", "level"] == 2


def test_a_client_that_was_away_continues(platform: Platform, port: int, viewer: str) -> None:
    login = platform.add(f"away-{serial()}", "mooring")
    with platform.connect(login) as client:
        with StreamClient(port, viewer) as stream:
            stream.subscribe(devices=[login.reference])
            say(client, login, {"a": 1, "b": 1})
            stream.sees(login.device, "a", 1)
            cursor = stream.cursors["1"]
        say(client, login, {"a": 2})
        say(client, login, {"a": 3})
        with StreamClient(port, viewer) as stream:
            answer = stream.subscribe(devices=[login.reference], **{"from": cursor})
            assert answer["subscribed"] is True
            stream.sees(login.device, "a", 3)
            assert not any("snapshot" in message for message in stream.got)
            assert (login.device, "telemetry", "b") not in stream.view
        for unknown in ("0123456789abcdef.1", "nonsense", cursor.rpartition(".")[0] + ".999999999"):
            with StreamClient(port, viewer) as stream:
                stream.subscribe(devices=[login.reference], **{"from": unknown})
                message = stream.wait(lambda m: m.get("more") is False)
                assert message["gap"] is True
                stream.sees(login.device, "a", 3)


def test_groups(platform: Platform, port: int, viewer: str) -> None:
    group = f"cellar-{serial()}"
    inside = platform.add(f"in-{serial()}", "mooring", "--group", group)
    outside = platform.add(f"out-{serial()}", "mooring")
    with (
        StreamClient(port, viewer) as stream,
        platform.connect(inside) as one,
        platform.connect(outside) as two,
    ):
        error = stream.subscribe(groups=["default:none-such"])["error"]
        assert error["code"] == "group_not_found"
        stream.subscribe(groups=[f"default:{group}"], kinds=["telemetry"])
        say(two, outside, {"level": 1})
        say(one, inside, {"level": 2})
        stream.sees(inside.device, "level", 2)
        assert {device for device, _, _ in stream.view} == {inside.device}


def test_it_follows_devices_that_are_added_later(
    platform: Platform, port: int, viewer: str
) -> None:
    with StreamClient(port, viewer) as stream:
        stream.subscribe(kinds=["telemetry"])
        login = platform.add(f"later-{serial()}", "pulse")
        with platform.connect(login) as client:

            def seen() -> bool:
                client.publish(login.topics["telemetry"], b'{"bpm":60}', qos=1)
                try:
                    stream.next(0.3)
                except TimeoutError:
                    return False
                return any(device == login.device for device, _, _ in stream.view)

            wait_until(seen, "the new device in the stream")


def test_rejected_logins(port: int) -> None:
    for token in ("mk_nobody", "eyJhbGciOiJIUzI1NiJ9.e30.x"):
        with StreamClient(port, token) as stream:
            assert stream.closed()[0] == 4401
        with StreamClient(port, header=token) as stream:
            assert stream.closed()[0] == 4401
    with StreamClient(port) as stream:  # says nothing
        assert stream.closed() == (4401, {"code": "login_needed"})
    with StreamClient(port) as stream:
        stream.send({"subscribe": {"id": "1"}})
        assert stream.closed() == (4401, {"code": "login_needed"})
    with StreamClient(port) as stream:
        stream.send("nonsense")
        assert stream.closed() == (4400, {"code": "invalid_message"})


def test_a_key_without_the_scope_read_is_closed(platform: Platform, port: int) -> None:
    secret = key(platform, "--role", "operator", "--scope", "commands")
    for stream in (StreamClient(port, secret), StreamClient(port, header=secret)):
        with stream:
            assert stream.closed() == (4403, {"code": "scope_missing", "scope": "read"})
    with StreamClient(port, key(platform, "--scope", "read")) as stream:
        assert "welcome" in stream.next()


def test_a_page_of_another_origin_is_rejected(port: int, viewer: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        StreamClient(port, viewer, origin="https://example.com")
    assert caught.value.response.status_code == 403
    with StreamClient(port, viewer, origin=f"http://127.0.0.1:{port}") as stream:
        assert "welcome" in stream.next()


def test_an_ended_login_ends_its_streams(platform: Platform, port: int) -> None:
    base = f"http://127.0.0.1:{port}/api/v1"
    admin = {"name": "admin", "password": platform.password_of_admin()}
    with httpx.Client(base_url=base, timeout=20) as http:
        token = http.post("/login", json=admin).json()["token"]
        secret = key(platform)
        headers = {"Authorization": f"Bearer {token}"}
        with StreamClient(port, token) as mine, StreamClient(port, header=secret) as program:
            mine.subscribe()
            program.subscribe()
            assert http.post("/logout", headers=headers).status_code in (200, 204)
            code, reason = mine.closed(8)
            assert (code, reason) == (4401, {"code": "token_void"})
            platform.cli("key", "revoke", secret.split("_")[1])
            code, reason = program.closed(8)
            assert (code, reason) == (4401, {"code": "key_revoked"})


def test_errors_name_the_subscription(platform: Platform, port: int, viewer: str) -> None:
    del platform
    with StreamClient(port, viewer) as stream:
        error = stream.subscribe("x", devices=["nothing-there"])["error"]
        assert error["code"] == "device_not_found"
        stream.send({"unsubscribe": "y"})
        assert stream.wait(lambda m: m.get("id") == "y")["error"]["code"] == "no_subscription"
        stream.send({"token": "again"})
        assert stream.wait(lambda m: "error" in m)["error"]["code"] == "login_given"
        stream.subscribe("x")
        stream.send({"unsubscribe": "x"})
        assert stream.wait(lambda m: m.get("subscribed") is False)["id"] == "x"


def test_a_killed_server_is_noticed_and_a_new_one_has_no_memory(
    platform: Platform, port: int, viewer: str
) -> None:
    login = platform.add(f"killed-{serial()}", "mooring")
    with StreamClient(port, viewer) as stream:
        stream.subscribe(devices=[login.reference])
        before = platform.pid("serve")
        cursor = stream.cursors["1"]
        os.kill(before, signal.SIGTERM)
        assert stream.closed()[0] == 1001
    wait_until(lambda: platform.pid("serve") != before, "another server")

    def back() -> StreamClient | None:
        try:
            return StreamClient(port, viewer)
        except OSError:
            return None

    stream_again: StreamClient | None = None

    def reachable() -> bool:
        nonlocal stream_again
        stream_again = back()
        return stream_again is not None

    wait_until(reachable, "the port")
    assert stream_again is not None
    with stream_again as stream:
        stream.subscribe(devices=[login.reference], **{"from": cursor})
        assert stream.wait(lambda m: m.get("more") is False)["gap"] is True
