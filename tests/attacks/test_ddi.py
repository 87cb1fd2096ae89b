"""Attacks over hawkBit's DDI: other devices' controllers, actions and files, floods, and bodies
and names that no client sends."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from mooring.app import open_app
from mooring.identity.actor import SYSTEM
from mooring.ota.ddi.feedback import LOG_KEPT
from mooring.ota.updates.rules import HISTORY_MAX
from mooring.ota.updates.service import Updates
from mooring.settings import Settings
from tests.attacks.stand import ATTACKER, VICTIM, Attacked
from tests.attacks.test_downloads import IMAGE, Release, release
from tests.support.platform import Login
from tests.support.waiting import wait_until

FLOOD = 150
SLOW = 24
CONTROLLER = (
    "SELECT config_at, version FROM ddi_controllers WHERE device_id ="
    " (SELECT id FROM devices WHERE username = ?)"
)
ATTRIBUTES = (
    "SELECT count(*) FROM device_attributes WHERE device_id ="
    " (SELECT id FROM devices WHERE username = ?)"
)


@dataclass
class Client:
    """A device, or somebody who says to be one."""

    http: httpx.Client
    base: str
    token: str

    def ask(self, method: str, path: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": self.token} | more.pop("headers", {})
        return self.http.request(method, f"{self.base}{path}", headers=headers, **more)

    def report(self, action: int, execution: str, finished: str, *details: str) -> httpx.Response:
        result = {"finished": finished}
        status = {"execution": execution, "result": result, "details": details}
        return self.ask("POST", f"/deploymentBase/{action}/feedback", json={"status": status})


def base(tenant: str, name: str) -> str:
    return f"/{tenant}/controller/v1/{name}"


@pytest.fixture
def http(attacked: Attacked) -> Iterator[httpx.Client]:
    with attacked.http() as made:
        yield made


@pytest.fixture(scope="module")
def of_victim(attacked_platform: Attacked) -> Release:
    return release(attacked_platform, VICTIM)


def client(http: httpx.Client, login: Login) -> Client:
    return Client(http, base(login.tenant, login.device), f"TargetToken {login.password}")


def offered(attacked: Attacked, login: Login, wanted: Release, http: httpx.Client) -> int:
    """The action of a device that has asked before."""
    assert client(http, login).ask("GET").status_code == 200
    wait_until(lambda: attacked.platform.rows(CONTROLLER, login.username), "its poll to be written")
    url = attacked.platform.cli.env.get("MOORING_DATABASE_URL")
    with open_app(Settings(data_dir=attacked.platform.data_dir, database_url=url)) as app:
        update = app.service(Updates).offer(SYSTEM, login.reference, str(wanted.number))
    assert update.way == "ddi"
    return update.action


def row(attacked: Attacked, action: int) -> tuple[Any, ...]:
    (found,) = attacked.platform.rows(
        "SELECT state, percent, served, log, history FROM firmware_updates WHERE id = ?", action
    )
    return found


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def told(answer: httpx.Response) -> dict[str, Any]:
    """An answer without what names the request itself."""
    found: dict[str, Any] = answer.json()
    return {name: value for name, value in found.items() if name != "instance"}


@pytest.mark.attack("a device's token for another controller, over DDI")
def test_another_controller(attacked: Attacked, http: httpx.Client) -> None:
    victim, neighbour, foreign = attacked.victim(), attacked.victim(), attacked.attacker()
    nobody = base(VICTIM, f"nobody-{secrets.token_hex(3)}")
    places = (base(VICTIM, victim.device), nobody, base(ATTACKER, victim.device))
    answers = [
        Client(http, place, f"TargetToken {thief.password}").ask("GET")
        for thief in (neighbour, foreign)
        for place in places
    ]
    assert {answer.status_code for answer in answers} == {401}
    first = told(answers[0])
    assert all(told(answer) == first for answer in answers), "an answer tells who exists"
    assert attacked.platform.rows(CONTROLLER, victim.username) == []


@pytest.mark.attack("a gateway's key for another tenant, over DDI")
def test_a_foreign_gateway(attacked: Attacked, http: httpx.Client) -> None:
    victim, own = attacked.victim(), attacked.attacker()
    key = attacked.platform.cli(
        *("key", "new", f"gw-{secrets.token_hex(3)}", "--role", "operator"),
        *("--tenant", ATTACKER, "--scope", "ddi", "--json"),
    ).json()["secret"]
    token = f"GatewayToken {key}"
    assert Client(http, base(ATTACKER, own.device), token).ask("GET").status_code == 200
    name = f"new-{secrets.token_hex(3)}"
    known = Client(http, base(VICTIM, victim.device), token).ask("GET")
    unknown = Client(http, base(VICTIM, name), token).ask("GET")
    assert code(known) == code(unknown) == (404, "ddi_controller_not_found")
    body = {"data": {"version": "9"}}
    answer = Client(http, base(VICTIM, victim.device), token).ask("PUT", "/configData", json=body)
    assert code(answer) == (404, "ddi_controller_not_found")
    # It lists what is unknown in its own tenant only.
    assert Client(http, base(ATTACKER, name), token).ask("GET").status_code == 404
    sql = "SELECT tenant FROM strangers WHERE name = ?"
    wait_until(lambda: attacked.platform.rows(sql, name), "the unknown device to be listed")
    assert attacked.platform.rows(sql, name) == [(ATTACKER,)]
    # And it does nothing else.
    assert http.get("/api/v1/devices", headers={"X-API-Key": key}).status_code == 403


@pytest.mark.attack("actions and files of another device, over DDI")
def test_another_devices_action(attacked: Attacked, http: httpx.Client, of_victim: Release) -> None:
    victim, neighbour, foreign = attacked.victim(), attacked.victim(), attacked.attacker()
    action = offered(attacked, victim, of_victim, http)
    before = row(attacked, action)
    file = f"/softwaremodules/{of_victim.number}/artifacts/{of_victim.file}"
    for thief in (client(http, neighbour), client(http, foreign)):
        for path in ("deploymentBase", "installedBase", "cancelAction"):
            answer = thief.ask("GET", f"/{path}/{action}")
            assert code(answer) == (404, "ddi_action_not_found")
        assert code(thief.report(action, "closed", "failure")) == (404, "ddi_action_not_found")
        cancelled = thief.ask(
            "POST", f"/cancelAction/{action}/feedback", json={"status": {"execution": "closed"}}
        )
        assert code(cancelled) == (404, "ddi_action_not_found")
        for path in (file, f"{file}.MD5SUM", file.rpartition("/")[0]):
            answer = thief.ask("GET", path)
            assert code(answer) == (404, "ddi_file_not_found")
            assert IMAGE[:16] not in answer.content
    assert row(attacked, action) == before
    assert client(http, victim).ask("GET", f"/deploymentBase/{action}").status_code == 200


@pytest.mark.attack("path games in the names of files, over DDI")
def test_path_games(attacked: Attacked, http: httpx.Client, of_victim: Release) -> None:
    victim = attacked.victim()
    offered(attacked, victim, of_victim, http)
    mine = client(http, victim)
    folder = f"/softwaremodules/{of_victim.number}/artifacts"
    assert mine.ask("HEAD", f"{folder}/{of_victim.file}").status_code == 200
    for name in (
        "../../../../etc/passwd",
        quote("../" * 6 + "etc/passwd", safe=""),
        quote("..\\..\\secrets.json", safe=""),
        quote("/etc/passwd", safe=""),
        "%00",
        quote(f"{of_victim.file}\0.bin", safe=""),
        quote(f"{of_victim.file}/", safe=""),
        f"{of_victim.file}.MD5SUM.MD5SUM",
        ".MD5SUM",
        "%2e%2e",
        "a" * 5_000,
        quote("é" * 300, safe=""),
    ):
        answer = mine.ask("GET", f"{folder}/{name}")
        assert answer.status_code in (400, 401, 404, 414, 422), (name, answer.text[:200])
        assert IMAGE[:16] not in answer.content
        assert b"root:" not in answer.content
    for number in ("0", "-1", "9" * 30, "1e3", "%20", "..%2f1"):
        answer = mine.ask("GET", f"/softwaremodules/{number}/artifacts/{of_victim.file}")
        assert answer.status_code in (404, 422), (number, answer.text[:200])


@pytest.mark.attack("floods of reports over DDI, with words without end")
def test_feedback_floods(attacked: Attacked, http: httpx.Client, of_victim: Release) -> None:
    victim = attacked.victim()
    action = offered(attacked, victim, of_victim, http)
    mine = client(http, victim)
    kinds = (("proceeding", "none"), ("download", "none"), ("scheduled", "none"))
    answers = {
        mine.report(action, *kinds[number % 3], *[f"{number} {'x' * 2_000}"] * 100).status_code
        for number in range(FLOOD)
    }
    assert answers <= {200, 429}  # its own limits hold
    state, _, _, log, history = row(attacked, action)
    assert state in ("waiting", "offered", "downloading")
    assert len(log.encode()) <= LOG_KEPT
    assert len(json.loads(history)) <= HISTORY_MAX
    assert client(http, attacked.victim()).ask("GET").status_code == 200


@pytest.mark.attack("bodies over DDI that are too large, too deep, or no JSON")
def test_bodies(attacked: Attacked, http: httpx.Client, of_victim: Release) -> None:
    victim = attacked.victim()
    action = offered(attacked, victim, of_victim, http)
    mine = client(http, victim)
    before = row(attacked, action)
    for path, method in (
        (f"/deploymentBase/{action}/feedback", "POST"),
        ("/configData", "PUT"),
    ):
        for body in (
            b"",
            b"{",
            b"null",
            b"[" * 200_000,
            b'{"status":' * 50_000,
            b'{"status": {"execution": "closed"',
            b"\xff\xfe\x00",
            b"\x00" * 1_000,
            secrets.token_bytes(1_000),
        ):
            answer = mine.ask(method, path, content=body)
            assert answer.status_code in (422, 429), (path, body[:20], answer.text[:200])
        answer = mine.ask(method, path, content=b" " * (1 << 20) + b"{}")
        assert answer.status_code in (413, 429), answer.text[:200]

        def chunks() -> Iterator[bytes]:
            for _ in range(40):
                yield b" " * 65_536

        with_chunks = mine.ask(method, path, content=chunks())
        assert with_chunks.status_code in (413, 429), with_chunks.text[:200]
    assert row(attacked, action) == before


@pytest.mark.attack("slow bodies over DDI that hold connections")
def test_slow_bodies(attacked: Attacked, http: httpx.Client) -> None:
    slow, victim = attacked.victim(), attacked.victim()
    held: list[socket.socket] = []
    try:
        for _ in range(SLOW):
            one = socket.create_connection(("127.0.0.1", attacked.platform.ports["http_port"]))
            held.append(one)
            one.sendall(
                f"PUT {base(slow.tenant, slow.device)}/configData HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: TargetToken {slow.password}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n".encode()
            )
        for _ in range(3):
            assert client(http, victim).ask("GET").status_code == 200
        # Nothing has been described.
        assert {one[0] for one in attacked.platform.rows(CONTROLLER, slow.username)} <= {None}
    finally:
        for one in held:
            one.close()
    attacked.lives(victim)


@pytest.mark.attack("thousands of ranges over DDI")
def test_ranges(attacked: Attacked, http: httpx.Client, of_victim: Release) -> None:
    victim = attacked.victim()
    offered(attacked, victim, of_victim, http)
    mine = client(http, victim)
    file = f"/softwaremodules/{of_victim.number}/artifacts/{of_victim.file}"
    many = "bytes=" + ",".join(f"{number}-{number}" for number in range(2_000))
    for asked in (many, "bytes=" + "0-," * 5_000, f"bytes=0-{'9' * 400}"):
        with http.stream(
            "GET", f"{mine.base}{file}", headers={"Authorization": mine.token, "Range": asked}
        ) as answer:
            # Ignored, as RFC 9110 allows: no parts are put together in memory.
            assert answer.status_code in (200, 429)
            if answer.status_code == 200:
                assert answer.headers["content-length"] == str(len(IMAGE))
    for number in range(100):
        answer = mine.ask("GET", file, headers={"Range": f"bytes={number}-{number}"})
        assert answer.status_code in (206, 429)
        assert answer.status_code == 429 or answer.content == IMAGE[number : number + 1]


@pytest.mark.attack("floods of descriptions over DDI, each with other names")
def test_description_floods(attacked: Attacked, http: httpx.Client) -> None:
    victim = attacked.victim()
    mine = client(http, victim)
    refused = attacked.platform.counted("attributes_refused")
    answers = set()
    for number in range(FLOOD):
        data = {f"n{number}_{each}": "v" * 50 for each in range(100)}
        body = {"mode": "merge", "data": data | {"version": f"{number}" * 400}}
        answers.add(mine.ask("PUT", "/configData", json=body).status_code)
    assert answers <= {200, 429}
    ((kept,),) = attacked.platform.rows(ATTRIBUTES, victim.username)
    assert kept <= 16  # of those that a device reports itself
    assert attacked.platform.counted("attributes_refused") > refused
    ((_, version),) = attacked.platform.rows(CONTROLLER, victim.username)
    assert len(version) <= 128
    attacked.lives(victim)
