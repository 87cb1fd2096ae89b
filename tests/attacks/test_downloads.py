"""Attacks on downloads of firmware: links, ranges, places, and other tenants' files."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest

from mooring.app import open_app
from mooring.identity.actor import SYSTEM
from mooring.ota.links.downloads import DOWNLOADS_MAX_PER_DEVICE
from mooring.ota.releases import manifest
from mooring.ota.updates.service import Updates
from mooring.settings import Settings
from tests.attacks.stand import ATTACKER, VICTIM, Attacked
from tests.support.platform import Login
from tests.support.waiting import wait_until

PRIVATE = manifest.generate(manifest.ED25519)
IMAGE = secrets.token_bytes(1 << 16) * 192  # longer than what a connection buffers on both sides


@dataclass(frozen=True)
class Release:
    """A published file of a tenant."""

    number: int
    file: str


def release(attacked: Attacked, tenant: str) -> Release:
    product, file = f"p-{secrets.token_hex(3)}", "app.bin"
    pem = manifest.public_pem(PRIVATE.public_key())
    with attacked.admin() as admin:
        key = {"name": f"{product}-key", "public_key": pem, "tenant": tenant}
        assert admin.post("/api/v1/firmware-keys", json=key).status_code == 201
        said = {"product": product, "version": "1", "tenant": tenant}
        made = admin.post("/api/v1/firmware", json=said).json()["id"]
        place = f"/api/v1/firmware/{made}"
        assert admin.put(f"{place}/files/{file}", content=IMAGE).status_code == 200
        signed = admin.get(f"{place}/files/{file}/manifest").content
        signature = manifest.sign(PRIVATE, signed)._asdict()
        answer = admin.post(f"{place}/files/{file}/signatures", json=signature)
        assert answer.status_code == 200, answer.text
        assert admin.post(f"{place}/publish", json={}).status_code == 200
    return Release(made, file)


def link(attacked: Attacked, login: Login, wanted: Release) -> str:
    """The link of an offer, which only its device gets."""
    device = attacked.client(login)
    device.subscribe(login.topics["firmware"])
    url = attacked.platform.cli.env.get("MOORING_DATABASE_URL")
    settings = Settings(data_dir=attacked.platform.data_dir, database_url=url)
    with open_app(settings) as app:
        app.service(Updates).offer(SYSTEM, login.reference, str(wanted.number))
    (message,) = device.collect(1)
    device.disconnect()
    return f"/f/{json.loads(message.payload)['url'].partition('/f/')[2]}"


@pytest.fixture(scope="module")
def of_victim(attacked_platform: Attacked) -> Iterator[Release]:
    yield release(attacked_platform, VICTIM)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.attack("guessing download links")
def test_guessing_links(attacked: Attacked, of_victim: Release) -> None:
    victim = attacked.victim()
    right = link(attacked, victim, of_victim)
    token = right.removeprefix("/f/")
    ((verifier,),) = attacked.platform.rows(
        "SELECT verifier FROM firmware_links ORDER BY id DESC LIMIT 1"
    )
    guesses = {
        secrets.token_urlsafe(16),
        token.swapcase(),
        token[:-1],
        token + "A",
        verifier,  # what somebody reads in a backup
        verifier[:22],
        "%00" * 5,
        quote("' OR 1=1 --"),
        "../../etc/passwd",
        "%2e%2e%2fartifacts",
    }
    with attacked.http() as http:
        for guess in guesses:
            answer = http.get(f"/f/{guess}")
            assert answer.status_code in {404, 422}, (guess, answer.text[:200])
            assert IMAGE[:16] not in answer.content
        assert http.head(right).status_code == 200
    attacked.lives(victim)


@pytest.mark.attack("a download link of another device, and of another tenant")
def test_another_devices_link(attacked: Attacked, of_victim: Release) -> None:
    victim, neighbour, foreign = attacked.victim(), attacked.victim(), attacked.attacker()
    right = link(attacked, victim, of_victim)
    with attacked.http() as http:
        for other in (neighbour, foreign):
            answer = http.get(right, auth=(other.username, other.password))
            assert code(answer) == (403, "link_of_another_device")
            assert victim.username not in answer.text
        assert http.head(right, auth=(victim.username, victim.password)).status_code == 200
        # A person of another tenant does not get the file past its link either.
        key = attacked.platform.cli(
            *("key", "new", secrets.token_hex(4), "--role", "admin"),
            *("--tenant", ATTACKER, "--json"),
        ).json()["secret"]
        file = f"/api/v1/firmware/{of_victim.number}/files/{of_victim.file}"
        assert http.get(file, headers={"X-API-Key": key}).status_code == 404
    alerts = (
        "SELECT tenant FROM alerts WHERE name = 'firmware_link_misused' AND device_id ="
        " (SELECT id FROM devices WHERE username = ?)"
    )
    wait_until(lambda: attacked.platform.rows(alerts, victim.username), "an alert")
    assert attacked.platform.rows(alerts, victim.username) == [(VICTIM,)]
    assert attacked.platform.rows(alerts, foreign.username) == []


@pytest.mark.attack("thousands of ranges in a request, and thousands of requests for one byte")
def test_many_ranges(attacked: Attacked, of_victim: Release) -> None:
    victim = attacked.victim()
    right = link(attacked, victim, of_victim)
    size = len(IMAGE)
    many = "bytes=" + ",".join(f"{number}-{number}" for number in range(2_000))
    with attacked.http() as http:
        for asked in (many, "bytes=" + "0-," * 5_000, "bytes=-", f"bytes=0-{'9' * 400}"):
            with http.stream("GET", right, headers={"Range": asked}) as answer:
                # Ignored, as RFC 9110 allows: no parts are put together in memory.
                assert answer.status_code == 200
                assert answer.headers["content-length"] == str(size)
        for number in range(300):
            answer = http.get(right, headers={"Range": f"bytes={number}-{number}"})
            assert (answer.status_code, answer.content) == (206, IMAGE[number : number + 1])
        beyond = http.get(right, headers={"Range": f"bytes={size}-"})
        assert code(beyond) == (416, "range_not_satisfiable")
    attacked.lives(victim)


@pytest.mark.attack("slow readers that hold all places for downloads")
def test_slow_readers(attacked: Attacked, of_victim: Release) -> None:
    slow, victim = attacked.victim(), attacked.victim()
    held, others = (link(attacked, one, of_victim) for one in (slow, victim))
    open_: list[socket.socket] = []
    try:
        with attacked.http() as http:
            open_ += [stuck(attacked, held) for _ in range(DOWNLOADS_MAX_PER_DEVICE)]
            answer = http.get(held)
            assert code(answer) == (429, "downloads_busy")
            assert int(answer.headers["retry-after"]) > 0
            assert http.get(others).content == IMAGE  # another device of the tenant
    finally:
        for one in open_:
            one.close()
    with attacked.http() as http:
        wait_until(
            lambda: http.get(held, headers={"Range": "bytes=0-0"}).status_code == 206,
            "the places of closed connections to be free",
        )


def stuck(attacked: Attacked, place: str) -> socket.socket:
    """A connection that has the head of an answer and reads nothing more."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", attacked.platform.ports["http_port"]))
    one.sendall(f"GET {place} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert one.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
    return one
