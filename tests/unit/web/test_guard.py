"""The guard around HTTP and WebSocket alike, with an application of the test's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mooring.web.errors import BODY_MAX_BYTES
from mooring.web.guard import Guard, Message, Receive, Scope, Send
from mooring.web.proxies import Proxies


def ask(scope: Scope, *messages: Message, proxies: Proxies | None = None) -> tuple[Any, Any]:
    """What the application saw of the scope, and what was sent."""
    seen: dict[str, Any] = {}
    sent: list[Message] = []
    waiting = list(messages)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"text"})
        else:
            await send({"type": "websocket.accept"})
            seen["received"] = await receive()

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(app, proxies=proxies)(scope, receive, send))
    return seen, sent


def websocket(path: str = "/s", **headers: str) -> Scope:
    return {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


@pytest.mark.parametrize(
    ("origin", "opened"),
    [
        (None, True),
        ("https://iot.example.org", True),
        ("http://iot.example.org", True),
        ("https://evil.example", False),
        ("https://iot.example.org.evil.example", False),
        ("https://iot.example.org:8443", False),
        ("null", False),
        ("", False),
        ("file://", False),
    ],
)
def test_a_page_of_elsewhere_opens_no_websocket(origin: str | None, opened: bool) -> None:
    given = {} if origin is None else {"origin": origin}
    _, sent = ask(websocket(host="iot.example.org", **given), {"type": "websocket.connect"})
    assert sent[0]["type"] == ("websocket.accept" if opened else "websocket.close")


def test_nul_in_the_address_opens_no_websocket() -> None:
    _, sent = ask(websocket("/s\0"), {"type": "websocket.connect"})
    assert [one["type"] for one in sent] == ["websocket.close"]


@pytest.mark.parametrize("part", [{"text": "ä" * BODY_MAX_BYTES}, {"bytes": b"x" * 2_000_000}])
def test_a_message_has_the_size_of_a_body(part: dict[str, Any]) -> None:
    seen, sent = ask(websocket(), {"type": "websocket.receive", **part})
    assert seen["received"]["type"] == "websocket.disconnect"
    assert sent[-1]["type"] == "websocket.close"


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_both_have_the_address_a_trusted_proxy_gives(kind: str) -> None:
    scope = {**websocket(), "type": kind, "method": "GET"}
    scope["headers"] = [(b"x-forwarded-for", b"203.0.113.9")]
    connect = {"type": "websocket.connect"}
    seen, _ = ask(dict(scope), connect, proxies=Proxies(("192.0.2.1",)))
    assert seen["client"][0] == "203.0.113.9"
    seen, _ = ask(dict(scope), connect)
    assert seen["client"] == ("192.0.2.1", 1)


def test_another_kind_of_scope_is_not_served() -> None:
    with pytest.raises(RuntimeError):
        ask({"type": "telnet"})


def test_head_is_answered_as_get_without_the_body() -> None:
    seen, sent = ask({**websocket(), "type": "http", "method": "HEAD"})
    assert seen["method"] == "GET"
    assert sent[1]["body"] == b""
