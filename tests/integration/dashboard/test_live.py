"""The socket of an open page: who may open it, what it is sent, when it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from mooring.app import App
from mooring.clock import now_ms
from mooring.dashboard.live import socket as under_test
from mooring.dashboard.live import trouble
from mooring.dashboard.live.newest import LISTS
from mooring.dashboard.live.socket import Code, Sockets
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.serve.app import create_app
from mooring.store.schema import broker_events
from tests.integration.dashboard.conftest import BrowserOf
from tests.support.dashboard import ORIGIN, Browser, person
from tests.support.waiting import wait_until

HEADERS = {"Origin": ORIGIN, "Host": "testserver"}


@pytest.fixture
def serving(api: Any) -> Iterator[TestClient]:
    """The application with its workers."""
    with TestClient(api, base_url=ORIGIN) as client:
        yield client


@contextmanager
def opened(serving: TestClient, browser: Browser, **headers: str) -> Iterator[Any]:
    """The socket of one page; when it is closed, the server has noticed."""
    serving.cookies = browser.client.cookies
    sockets = serving.app.state.residents[Sockets]  # type: ignore[attr-defined]
    before = len(sockets)
    sent = {name: value for name, value in (HEADERS | headers).items() if value}
    with serving.websocket_connect("/live", headers=sent) as socket:
        yield socket
        socket.close(1000)
        wait_until(lambda: len(sockets) <= before, "the page to have gone")


def closed_with(serving: TestClient, browser: Browser, **headers: str) -> int:
    with opened(serving, browser, **headers) as socket, pytest.raises(WebSocketDisconnect) as ended:
        while True:
            socket.receive_text()
    return int(ended.value.code)


def until(socket: Any, topic: str) -> dict[str, Any]:
    """The first message of a topic; those of others are kept for later calls."""
    kept: dict[str, dict[str, Any]] = socket.__dict__.setdefault("kept", {})
    while topic not in kept:
        message: dict[str, Any] = json.loads(socket.receive_text())
        assert "now" in message and "trouble" in message
        kept[message.get("topic") or message.get("error", {}).get("topic", "")] = message
    return kept.pop(topic)


def ask(socket: Any, *topics: str) -> None:
    socket.send_text(json.dumps({"watch": topics}))


def add(platform: App, name: str, tenant: str = "default") -> int:
    platform.devices.add(SYSTEM, NewDevice(name=name, dialect="mooring", tenant=tenant))
    return platform.devices.get(SYSTEM, name).id


def test_values_come_as_soon_as_they_are_watched(
    serving: TestClient, platform: App, browser_of: BrowserOf
) -> None:
    number = add(platform, "kitchen")
    with opened(serving, browser_of("viewer")) as socket:
        ask(socket, "overview", f"device:{number}", f"rows:{number}")
        assert until(socket, "overview")["values"]["devices"] == 1
        found = until(socket, f"device:{number}")
        assert found["whole"] is True and found["values"]["seen"] is None
        assert until(socket, f"rows:{number}")["values"][f"{number}.state"] == "never_seen"
        ask(socket, "alerts", "job:1", "nothing")
        assert until(socket, "alerts")["values"]["open"] == 0
        assert until(socket, "job:1")["error"]["code"].endswith("not_found")


def test_the_newest_rows_of_lists(
    serving: TestClient, platform: App, browser_of: BrowserOf
) -> None:
    number = add(platform, "kitchen")
    lists = [f"newest:{name}" for name in sorted(LISTS)]
    with opened(serving, browser_of("admin")) as socket:
        ask(socket, *lists, "newest:devices?q=nobody")
        found = {name: until(socket, name)["values"]["ids"] for name in lists}
        assert found["newest:devices"] == [number] and found["newest:audit"]
        assert until(socket, "newest:devices?q=nobody")["values"] == {"ids": []}
    with opened(serving, browser_of("viewer")) as socket:
        ask(socket, "newest:audit", "newest:codes", "newest:nothing", "newest:devices")
        for name in ("newest:audit", "newest:codes"):
            assert until(socket, name)["error"]["code"] == "forbidden"
        assert until(socket, "newest:nothing")["error"]["code"] == "invalid_topic"
        assert until(socket, "newest:devices")["values"] == {"ids": [number]}
    platform.people.add_tenant(SYSTEM, "other")
    with opened(serving, browser_of("admin", "other")) as socket:
        ask(socket, "newest:devices", "newest:audit")
        assert until(socket, "newest:devices")["values"] == {"ids": []}
        theirs = until(socket, "newest:audit")["values"]["ids"]
        assert not set(theirs) & set(found["newest:audit"])


def test_another_tenant_sees_nothing(
    serving: TestClient, platform: App, browser_of: BrowserOf
) -> None:
    number = add(platform, "kitchen")
    platform.people.add_tenant(SYSTEM, "other")
    with opened(serving, browser_of("viewer", "other")) as socket:
        ask(socket, f"device:{number}", f"rows:{number}", "overview")
        assert until(socket, f"device:{number}")["values"] == {}
        assert until(socket, f"rows:{number}")["values"] == {}
        assert until(socket, "overview")["values"]["devices"] == 0
    sockets = serving.app.state.residents[Sockets]  # type: ignore[attr-defined]
    assert sockets.collector.topics == 0 and len(sockets) == 0


def test_only_pages_of_this_server_may_open_it(serving: TestClient, browser_of: BrowserOf) -> None:
    somebody = browser_of("viewer")
    for origin in ("http://evil.example", "null", "http://testserver.evil.example"):
        with pytest.raises(WebSocketDisconnect), opened(serving, somebody, Origin=origin):
            raise AssertionError("it was accepted")
    assert closed_with(serving, somebody, Origin="") == Code.OTHER_ORIGIN
    assert closed_with(serving, browser_of()) == Code.SESSION_OVER


def test_a_message_that_is_not_valid_ends_it(serving: TestClient, browser_of: BrowserOf) -> None:
    for text in ('{"watch": 5}', "x", json.dumps({"watch": ["a"] * 25})):
        with opened(serving, browser_of("viewer")) as socket:
            socket.send_text(text)
            with pytest.raises(WebSocketDisconnect) as ended:
                while True:
                    socket.receive_text()
            assert ended.value.code == Code.INVALID


def test_it_ends_with_the_session(platform: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "CHECK_SECONDS", 0.05)
    api = create_app(platform)
    somebody = person(platform, api, "viewer")
    with TestClient(api, base_url=ORIGIN) as serving, opened(serving, somebody) as socket:
        ask(socket, "overview")
        until(socket, "overview")
        assert somebody.post("/sign-out").status_code == 303
        with pytest.raises(WebSocketDisconnect) as ended:
            while True:
                socket.receive_text()
        assert ended.value.code == Code.SESSION_OVER


def test_there_is_a_bound_for_each_person(
    serving: TestClient, platform: App, browser_of: BrowserOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "TABS_MAX_PER_LOGIN", 1)
    somebody = browser_of("viewer")
    with opened(serving, somebody) as socket:
        ask(socket, "overview")
        until(socket, "overview")
        assert closed_with(serving, somebody) == Code.FULL
    with opened(serving, somebody) as socket:  # there is room again
        ask(socket, "overview")
        until(socket, "overview")


def test_a_tenant_leaves_room_for_the_others(
    serving: TestClient, platform: App, browser_of: BrowserOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "TABS_MAX_PER_TENANT", 1)
    for tenant in ("acme", "other"):
        platform.people.add_tenant(SYSTEM, tenant)
    one, another = browser_of("viewer", "acme"), browser_of("operator", "acme")
    with opened(serving, one) as socket:
        ask(socket, "overview")
        until(socket, "overview")
        assert closed_with(serving, another) == Code.FULL  # of the same tenant
        for somebody in (browser_of("viewer", "other"), browser_of("admin")):
            with opened(serving, somebody) as theirs:
                ask(theirs, "overview")
                until(theirs, "overview")
    with opened(serving, another) as socket:  # there is room again
        ask(socket, "overview")
        until(socket, "overview")


def test_what_is_seen_of_the_first_device_comes_by_itself(
    serving: TestClient, platform: App, browser_of: BrowserOf
) -> None:
    add(platform, "kitchen")
    event = {"at": now_ms(), "event": "refused", "username": "default/kitchen"}
    with platform.database.write() as connection:
        connection.execute(sa.insert(broker_events).values(**event, detail="wrong_password"))
    with opened(serving, browser_of("operator", "default")) as socket:
        ask(socket, "signs:default:kitchen", "signs")
        for topic in ("signs:default:kitchen", "signs"):
            (sign,) = until(socket, topic)["values"]["signs"]
            assert sign["word"] == "Rejected" and "wrong password" in sign["text"]


def test_it_says_what_does_not_answer(
    serving: TestClient, browser_of: BrowserOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens on the broker's port in these tests."""
    monkeypatch.setitem(trouble.GRACE_MS, "broker", 0)
    with opened(serving, browser_of("viewer")) as socket:
        for _ in range(3):
            message = json.loads(socket.receive_text())
            if message["trouble"]:
                break
        assert message["trouble"]["what"] == "broker" and message["trouble"]["since"] > 0
