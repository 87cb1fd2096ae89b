"""A tenant that uses notifications to reach what it must not reach, or to delay those of others."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mooring.notify import http
from mooring.notify.apprise_child import Blocked, guard
from mooring.notify.retries import Outcome
from tests.attacks.stand import Attacked
from tests.support.receivers import HttpReceiver, certificate
from tests.support.waiting import wait_until

RECIPIENTS_MOST = 20  # recipients_max_per_tenant
NOW = {"wait_seconds": 0, "interval_seconds": 0}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpReceiver]:
    """The victim's."""
    with HttpReceiver(certificate(tmp_path_factory.mktemp("receiver"))) as found:
        yield found


@pytest.fixture(scope="module")
def attack_settings(receiver: HttpReceiver) -> dict[str, str]:
    assert receiver.files is not None
    return {"MOORING_NOTIFY_CA_FILE": str(receiver.files[0])}


def owner(attacked: Attacked, tenant: str = "attacker") -> httpx.Client:
    """An administrator of a tenant."""
    given = {"name": secrets.token_hex(4), "tenant": tenant, "role": "admin"}
    with attacked.admin() as admin:
        made = admin.post("/api/v1/api-keys", json=given)
    assert made.status_code == 201, made.text
    return attacked.http(headers={"X-API-Key": made.json()["key"]})


def add(client: httpx.Client, target: str, **more: Any) -> httpx.Response:
    given = {"name": f"r{secrets.token_hex(4)}", "kind": "webhook", "target": target} | more
    return client.post("/api/v1/recipients", json=given)


def outcome(client: httpx.Client, name: str) -> dict[str, Any]:
    """Of the newest notification, once it has one."""

    def found() -> dict[str, Any] | None:
        items = client.get(f"/api/v1/recipients/{name}/notifications").json()["items"]
        return items[0] if items and items[0]["last_error"] else None

    result = wait_until(found, "an attempt", timeout=60)
    assert result is not None
    return result


@pytest.mark.attack("a webhook to the platform's own network")
def test_a_tenant_does_not_reach_the_platforms_network(
    attacked: Attacked, receiver: HttpReceiver
) -> None:
    attacked.attacker()  # so that the tenant exists
    before = receiver.connections
    port = receiver.port
    with owner(attacked) as client:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"):
            made = add(client, f"https://{host}:{port}/")
            assert made.status_code == 201, made.text
            name = made.json()["name"]
            assert client.post(f"/api/v1/recipients/{name}/test").status_code == 202
            found = outcome(client, name)
            assert found["state"] == "failed", found
            assert "not allowed" in found["last_error"], found
            assert client.delete(f"/api/v1/recipients/{name}").status_code == 204
        mail = f"mailto://localhost:{port}?to=x@example.org&mode=insecure"
        name = add(client, mail, kind="apprise").json()["name"]
        client.post(f"/api/v1/recipients/{name}/test")
        assert "not allowed" in outcome(client, name)["last_error"]
        assert add(client, f"http://127.0.0.1:{port}/").status_code == 422
        assert add(client, "https://127.0.0.1/", private=True).status_code == 403
        assert add(client, "https://example.org/", platform=True).status_code == 403
        assert add(client, "file:///etc/passwd", kind="apprise").status_code == 422
        for one in client.get("/api/v1/recipients").json()["items"]:
            client.delete(f"/api/v1/recipients/{one['number']}")
    assert receiver.connections == before


@pytest.mark.attack("a name that points elsewhere the second time")
def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["93.184.215.14", "127.0.0.1"]
    asked: list[str] = []
    reached: list[str] = []

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def connect(host: str, port: int, **options: Any) -> Any:
        reached.append(host)
        assert options["server_hostname"] == "rebinds.example.org"
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    tls = ssl.create_default_context()

    def attempt() -> Outcome:
        url = "https://rebinds.example.org/"
        return asyncio.run(http.post(url, b"", {}, private=False, tls=tls)).outcome

    assert attempt() is Outcome.FAILED
    assert reached == ["93.184.215.14"]  # the address that was checked, not the name
    assert attempt() is Outcome.INVALID
    assert len(asked) == 2
    assert reached == ["93.184.215.14"]


@pytest.mark.attack("what addresses the names of the platform's network have")
def test_no_error_tells_an_address_of_the_platforms_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lookup(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.11.12.13", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    tls = ssl.create_default_context()
    url = "https://database.internal/"
    answer = asyncio.run(http.post(url, b"", {}, private=False, tls=tls))
    assert (answer.outcome, "not allowed" in answer.error) == (Outcome.INVALID, True)
    watch = guard(private=False, folders=())
    with pytest.raises(Blocked):
        watch("socket.connect", (None, ("10.11.12.13", 25)))
    for words in (answer.error, watch.blocked):
        assert "10.11" not in words


@pytest.mark.attack("names whose servers never answer")
def test_names_that_nobody_answers_leave_threads_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    over = threading.Event()

    def lookup(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    tls = ssl.create_default_context()
    names = [f"n{number}.example.org" for number in range(64)]  # all places

    async def flood() -> list[Outcome]:
        attempts = [
            asyncio.create_task(
                http.post(f"https://{name}/", b"", {}, private=False, tls=tls, seconds=2)
            )
            for name in names
        ]
        try:
            # What the worker asks the database, it asks in the loop's threads.
            await asyncio.sleep(0)
            async with asyncio.timeout(30):
                assert await asyncio.to_thread(lambda: "free") == "free"
            assert not over.is_set()
            return [answer.outcome for answer in await asyncio.gather(*attempts)]
        finally:
            over.set()

    assert asyncio.run(flood()) == [Outcome.FAILED] * len(names)
    assert sorted(asked) == sorted(names)


@pytest.mark.attack("receivers that never answer, never end, or lead elsewhere")
def test_hostile_receivers_delay_nobody_else(attacked: Attacked, receiver: HttpReceiver) -> None:
    victim, attacker = attacked.victim(), attacked.attacker()
    assert receiver.files is not None
    before = receiver.connections
    with (
        HttpReceiver(receiver.files, delay=3600) as silent,
        HttpReceiver(
            receiver.files, answers=[b"HTTP/1.1 200 OK\r\n"], endless=b"x: y\r\n"
        ) as endless,
        HttpReceiver(receiver.files, answers=[b""], endless=b"z" * 65_536) as babble,
        HttpReceiver(receiver.files) as redirect,
        attacked.admin() as admin,
    ):
        elsewhere = f"HTTP/1.1 307 X\r\nLocation: {receiver.url}\r\nContent-Length: 0\r\n\r\n"
        redirect.answers = [elsewhere.encode()]
        names = {}
        for one in (endless, babble, redirect):
            made = add(admin, one.url, tenant="attacker", private=True, options=NOW)
            names[one.port] = made.json()["name"]
        for _ in range(RECIPIENTS_MOST - len(names)):
            made = add(admin, silent.url, tenant="attacker", private=True, options=NOW)
            assert made.status_code == 201, made.text
        assert add(admin, silent.url, tenant="attacker").json()["code"] == "limit_reached"
        hook = add(admin, receiver.url, tenant="victim", private=True, options=NOW).json()["name"]
        flooder, honest = attacked.client(attacker), attacked.client(victim)
        for number in range(200):
            flooder.publish(attacker.topics["alert"], json.dumps({"alert": f"n{number}"}))
        wait_until(lambda: silent.connections > 0, "the attacker's notifications", timeout=60)
        honest.publish(victim.topics["alert"], json.dumps({"alert": "leak"}))
        wait_until(lambda: receiver.got, "the victim's notification", timeout=60)
        assert receiver.got[0].json["data"]["alerts"][0]["name"] == "leak"
        for one in (endless, babble, redirect):
            found = outcome(admin, names[one.port])
            assert found["state"] == "waiting"
        assert "redirects" in outcome(admin, names[redirect.port])["last_error"]
        assert {got.json["source"] for got in receiver.got} == {"/mooring/victim"}
        items = admin.get(f"/api/v1/recipients/{hook}/notifications").json()["items"]
        assert [one["attempts"] for one in items] == [1]
        assert receiver.connections == before + len(items)
        tests = [admin.post(f"/api/v1/recipients/{names[babble.port]}/test") for _ in range(120)]
        assert [one.status_code for one in tests].count(409) >= 10  # the queue is bounded
        assert admin.get("/healthz").status_code == 200
    attacked.lives(victim)
