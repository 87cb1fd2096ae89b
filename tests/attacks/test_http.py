"""Attacks on the HTTP interface. Requests come from any address: the test is a trusted proxy."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.attacks.stand import Attacked
from tests.support.platform import Login
from tests.support.waiting import wait_until

CONNECTIONS = 120
GUESSES = 10  # a minute, as documented
WAITING = 45  # more than there are threads


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    return {
        "MOORING_TRUSTED_PROXIES": "127.0.0.1",
        "MOORING_HTTP_CONNECTIONS_MAX": str(CONNECTIONS),
    }


def reading(number: int) -> dict[str, Any]:
    return {"seq": number, "values": {"temperature": 21.5}}


def upload(http: httpx.Client, login: Login, *numbers: int, **options: Any) -> httpx.Response:
    return http.post(
        f"/api/v1/devices/{login.reference}/telemetry",
        json={"messages": [reading(number) for number in numbers]},
        auth=(login.username, login.password),
        **options,
    )


def code(answer: httpx.Response) -> str:
    return str(answer.json().get("code", answer.status_code))


def person(attacked: Attacked, role: str = "viewer") -> tuple[str, str]:
    """The name and password of a new user."""
    name = f"{role}-{secrets.token_hex(3)}"
    answer = attacked.platform.cli("user", "add", name, "--role", role, "--json").json()
    return name, answer["password"]


def log_in(http: httpx.Client, name: str, password: str, address: str) -> httpx.Response:
    return http.post(
        "/api/v1/login",
        json={"name": name, "password": password},
        headers={"X-Forwarded-For": address},
    )


@pytest.mark.attack("uploads that wait hold every thread")
def test_waiting_uploads_leave_threads_free(attacked: Attacked) -> None:
    login = attacked.attacker()
    ingest = attacked.platform.pid("ingest")
    limits = httpx.Limits(max_connections=2 * WAITING)
    with (
        attacked.http() as http,
        httpx.Client(base_url=attacked.url, timeout=60, limits=limits) as many,
        ThreadPoolExecutor(WAITING) as pool,
    ):
        os.kill(ingest, signal.SIGSTOP)  # nothing is committed until it goes on
        try:
            waiting = [pool.submit(upload, many, login, 1000 + n) for n in range(WAITING)]
            wait_until(
                lambda: serving(attacked)["connections"] >= WAITING, "all uploads to be there"
            )
            assert http.get("/healthz").status_code == 200
            assert code(http.get("/api/v1/devices")) == "login_needed"
            assert not all(one.done() for one in waiting)
        finally:
            os.kill(ingest, signal.SIGCONT)
        assert {one.result().status_code for one in waiting} <= {200, 503}
    attacked.lives(login)


def serving(attacked: Attacked) -> dict[str, Any]:
    """What the serving process says of itself."""
    ((detail,),) = attacked.platform.rows("SELECT detail FROM processes WHERE role = 'serve'")
    return dict(json.loads(detail))


@pytest.mark.attack("a device with a thousand gaps")
def test_a_device_with_many_gaps_uploads(attacked: Attacked) -> None:
    login = attacked.victim()
    with attacked.http() as http:
        for first in range(2, 2004, 1000):
            answer = upload(http, login, *range(first, first + 1000, 2))
            assert answer.status_code == 200, answer.text
        answer = upload(http, login, 5_000)
        assert answer.status_code == 200, answer.text
        answer = upload(http, login, *range(1, 1000, 2))
        assert answer.status_code == 200, answer.text
        assert answer.json()["receipt"]["upto"] >= 1000


@pytest.mark.attack("half-sent requests take every connection")
@pytest.mark.parametrize(
    "part", [b"", b"POST /api/v1/login HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1"]
)
def test_half_sent_requests(attacked: Attacked, part: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS + 30):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", attacked.platform.ports["http_port"]), 30)
            )
            client.sendall(part)
        for _ in range(5):
            with attacked.http() as http:
                assert http.get("/healthz").status_code == 200
    with attacked.admin() as admin:
        ended = [
            line
            for line in admin.get("/metrics").text.splitlines()
            if line.startswith('mooring_http_connections_ended_total{limit="all"}')
        ]
    assert float(ended[0].split()[1]) > 0


def minutes_since(begun: float) -> int:
    """How many minutes have begun: a limit holds for each, and a busy machine may need several."""
    return 1 + int((time.monotonic() - begun) // 50)


@pytest.mark.attack("guesses at a password between one's own logins")
def test_own_logins_buy_no_guesses(attacked: Attacked) -> None:
    own, target = person(attacked), person(attacked, "admin")
    guessed, begun = 0, time.monotonic()
    with attacked.http() as http:
        for _ in range(3 * GUESSES):
            assert log_in(http, *own, "198.51.100.1").status_code == 200
            answer = log_in(http, target[0], "wrong-wrong-wrong", "198.51.100.1")
            guessed += code(answer) == "login_failed"
        assert GUESSES <= guessed <= GUESSES * minutes_since(begun)
        assert log_in(http, *target, "198.51.100.2").status_code == 200, "its owner is locked out"


@pytest.mark.attack("an address of one's own for each guess (X-Forwarded-For)")
def test_a_made_up_address_does_not_count(attacked: Attacked) -> None:
    name, _ = person(attacked)
    with attacked.http() as http:
        begun = time.monotonic()
        answers = [
            code(log_in(http, name, "wrong-wrong-wrong", f"203.0.113.{n}, 198.51.100.9"))
            for n in range(2 * GUESSES)
        ]
        assert GUESSES <= answers.count("login_failed") <= GUESSES * minutes_since(begun)
        assert set(answers) <= {"login_failed", "login_throttled"}
        # The audit log and the figures have the same address as the throttle.
        noted = attacked.platform.rows(
            "SELECT DISTINCT origin FROM audit WHERE action = 'login.failed' AND subject = ?", name
        )
        assert noted == [("198.51.100.9",)]
        assert http.get("/metrics").status_code == 200
        elsewhere = http.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1, 198.51.100.9"})
        assert elsewhere.status_code == 401


@pytest.mark.attack("wrong claim codes block everybody's claim")
def test_wrong_claim_codes(attacked: Attacked) -> None:
    new = attacked.platform.cli("claim", "new", "--dialect", "mooring", "--json").json()["code"]
    codes, begun = 0, time.monotonic()
    with attacked.http() as http:
        for number in range(750):  # more than all together may
            answer = http.post(
                "/api/v1/claims",
                json={"code": "AAAA-AAAA", "hardware_id": "x"},
                headers={"X-Forwarded-For": f"198.51.{100 + number % 75}.1"},
            )
            codes += code(answer) == "claim_refused"
        assert codes <= (600 + 75) * minutes_since(begun)
        answer = http.post(
            "/api/v1/claims",
            json={"code": new, "hardware_id": "honest-1"},
            headers={"X-Forwarded-For": "203.0.113.77"},
        )
        assert answer.status_code in {201, 202}, answer.text


@pytest.mark.attack("guesses at a device's password over HTTP")
def test_guesses_at_a_device(attacked: Attacked) -> None:
    target, other = attacked.victim(), attacked.victim()
    with attacked.http(headers={"X-Forwarded-For": "198.51.100.44"}) as http:
        wrong = Login(**{**vars_of(target), "password": "wrong"})
        begun = time.monotonic()
        answers = [code(upload(http, wrong, 1)) for _ in range(2 * GUESSES)]
        refused = answers.count("device_login_refused")
        assert GUESSES <= refused <= GUESSES * minutes_since(begun)
        assert upload(http, other, 1).status_code == 200
    with attacked.http(headers={"X-Forwarded-For": "203.0.113.44"}) as http:
        assert upload(http, target, 1).status_code == 200


def vars_of(login: Login) -> dict[str, Any]:
    return {name: getattr(login, name) for name in Login.__dataclass_fields__}


@pytest.mark.attack("an old token after a logout, and after disable and enable")
def test_old_tokens(attacked: Attacked) -> None:
    name, password = person(attacked)
    with attacked.http() as http, attacked.admin() as admin:

        def me(token: str) -> str:
            return code(http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}))

        first, second = (
            log_in(http, name, password, "198.51.100.7").json()["token"] for _ in range(2)
        )
        bearer = {"Authorization": f"Bearer {first}"}
        assert http.post("/api/v1/logout", headers=bearer).status_code == 204
        assert (me(first), me(second)) == ("token_void", "200")
        for disabled in (True, False):
            answer = admin.patch(f"/api/v1/users/{name}", json={"disabled": disabled})
            assert answer.status_code == 200
        assert me(second) == "token_void"


@pytest.mark.attack("a WebSocket opened by a page of elsewhere")
def test_a_foreign_page_opens_no_websocket(attacked: Attacked) -> None:
    with attacked.http() as http:
        answer = http.get(
            "/api/v1/stream",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Origin": "https://evil.example",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version": "13",
            },
        )
    assert answer.status_code in {403, 404}


@pytest.mark.attack("an answer that sends passwords to http:// on another machine")
def test_no_answer_names_http_elsewhere(attacked: Attacked) -> None:
    code = attacked.platform.cli("claim", "new", "--dialect", "mooring", "--json").json()["code"]
    with attacked.http(headers={"Host": "192.168.1.10:8080"}) as http:
        claimed = http.post("/api/v1/claims", json={"code": code, "hardware_id": "elsewhere-1"})
    assert claimed.status_code in {201, 202}, claimed.text
    assert claimed.json()["http"]["url"] is None
    assert "http://" not in claimed.text


@pytest.mark.attack("wildcards and numbers that JSON cannot hold")
def test_wildcards_and_numbers(attacked: Attacked) -> None:
    victim = attacked.victim()
    with attacked.admin() as admin:
        for word in ("%", "_", "\\"):
            found = admin.get("/api/v1/devices", params={"search": word}).json()["items"]
            assert found == []
        for number in ("1e999", "NaN"):
            answer = admin.post(
                "/api/v1/mqtt/publish",
                content=f'{{"topic": "x/y", "payload": {{"a": {number}}}}}',
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code == 422, answer.text
        answer = admin.get(
            f"/api/v1/devices/{victim.reference}/history", params={"metric": "absent"}
        )
        assert answer.json()["items"] == []
        assert admin.head("/healthz").status_code == 200
