"""Download links over HTTP: what they give, to whom, and for how long."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.alerts.platform import checks
from mooring.alerts.platform.model import Look
from mooring.app import App
from mooring.devices.model import Credentials, NewDevice
from mooring.errors import NotFound
from mooring.identity.actor import SYSTEM
from mooring.ota.links import service
from mooring.ota.links.downloads import DOWNLOADS_MAX_PER_DEVICE, Downloads
from mooring.ota.links.service import LINKS_MAX, Links, Opening
from mooring.ota.releases.model import NewRelease
from mooring.ota.releases.service import Releases
from mooring.ota.releases.states import Step
from mooring.ota.updates.protocol import Wanted
from mooring.ota.updates.service import Updates
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import firmware_links
from tests.integration.http.conftest import NO_TLS, serving
from tests.support.ports import free_port
from tests.support.waiting import wait_until

IMAGE = secrets.token_bytes(300_000)
SHA = hashlib.sha256(IMAGE).hexdigest()
ETAG = f'"{SHA}"'


@pytest.fixture
def settings(tmp_path: Path, any_database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=any_database_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        firmware_downloads_max_per_tenant=6,
    )


@dataclass
class World:
    """A tenant with a published release and two devices, and another tenant's device."""

    app: App
    mine: Credentials
    neighbour: Credentials
    foreign: Credentials
    artifact: int
    release: int
    updates: dict[int, int]
    """Device → the update that it was offered."""

    @property
    def update(self) -> int:
        return self.updates[self.mine.device.id]

    def link(
        self, of: Credentials | None = None, *, at: int | None = None, update: int | None = None
    ) -> str:
        device = (of or self.mine).device.id
        with self.app.database.write() as connection:
            number = self.updates[device] if update is None else update
            wanted = [Wanted(number, device, self.artifact)]
            at = now_ms() if at is None else at
            (link,) = self.app.service(Links).issue(connection, wanted, at=at)
            return link

    def rows(self) -> list[Any]:
        with self.app.database.read() as connection:
            return list(connection.execute(sa.select(firmware_links)).mappings())


@pytest.fixture
def world(platform: App) -> World:
    devices = [
        platform.devices.add(SYSTEM, NewDevice(name, dialect="pulse", tenant=tenant))[0]
        for name, tenant in (("mine", "home"), ("neighbour", "home"), ("foreign", "elsewhere"))
    ]
    releases = platform.service(Releases)
    made = releases.create(SYSTEM, NewRelease("trap", "1.4.0", "home"))
    with releases.files.receive(1 << 20) as incoming:
        incoming.write(IMAGE)
        made = releases.add_file(SYSTEM, str(made.id), "trap ä 1.4.bin", incoming)
    releases.step(SYSTEM, str(made.id), Step.PUBLISH, unsigned=True)
    offers = [
        platform.service(Updates).offer(SYSTEM, one.device.reference, str(made.id))
        for one in devices[:2]
    ]
    with platform.database.write() as connection:
        connection.execute(sa.delete(firmware_links))  # those of the offers themselves
    return World(
        platform,
        *devices,
        artifact=made.artifacts[0].id,
        release=made.id,
        updates={one.device_id: one.id for one in offers},
    )


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def basic(of: Credentials) -> dict[str, str]:
    pair = f"{of.device.username}:{of.password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def test_a_file_and_its_parts(world: World, nobody: httpx.Client) -> None:
    link = world.link()
    assert len(link) == len("/f/") + 22
    whole = nobody.get(link)
    assert (whole.status_code, whole.content) == (200, IMAGE)
    assert whole.headers["etag"] == ETAG
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["content-length"] == str(len(IMAGE))
    assert "trap%20%C3%A4%201.4.bin" in whole.headers["content-disposition"]
    head = nobody.head(link)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(IMAGE)))

    for asked, first, end in (
        ("bytes=100000-", 100_000, len(IMAGE)),
        ("bytes=5-9", 5, 10),
        ("bytes=-7", len(IMAGE) - 7, len(IMAGE)),
    ):
        part = nobody.get(link, headers={"Range": asked, "If-Range": ETAG})
        assert (part.status_code, part.content) == (206, IMAGE[first:end])
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{len(IMAGE)}"
    changed = nobody.get(link, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, IMAGE)
    assert nobody.get(link, headers={"If-None-Match": ETAG}).status_code == 304
    beyond = nobody.get(link, headers={"Range": f"bytes={len(IMAGE)}-"})
    assert code(beyond) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(IMAGE)}"
    # Nothing that opens a link is in the database.
    (row,) = world.rows()
    assert row["verifier"] == hashlib.sha256(link.removeprefix("/f/").encode()).hexdigest()


def test_who_holds_a_link_and_who_shows_another_login(world: World, nobody: httpx.Client) -> None:
    link = world.link()
    for allowed in (
        {},
        basic(world.mine),
        {"Authorization": "Bearer mk_unknown"},
        {"Authorization": "Basic !!"},
    ):
        assert nobody.get(link, headers=allowed).status_code == 200
    wrong = httpx.BasicAuth(world.neighbour.device.username, "wrong")
    assert nobody.get(link, auth=wrong).status_code == 200  # proves nothing
    assert found(world) == []
    for other, named in ((world.neighbour, "neighbour"), (world.foreign, "")):
        answer = nobody.get(link, headers=basic(other))
        assert code(answer) == (403, "link_of_another_device")
        with world.app.database.write() as connection:
            ((subject, value),) = found(world)
            assert (subject, value) == (world.mine.device.id, named)
            connection.execute(sa.update(firmware_links).values(misused_at=None, misused_by=None))


def found(world: World) -> list[tuple[int | None, str]]:
    """What the platform raises an alert for."""
    with world.app.database.read() as connection:
        look = Look(connection, world.app.settings, now_ms(), lambda _: (1, 1), {}, {})
        (check,) = [one for one in checks.CHECKS if one.name == "firmware_link_misused"]
        return [(one.device_id, one.value) for one in check.find(look)]


def test_unknown_and_malformed_links(world: World, nobody: httpx.Client) -> None:
    world.link()
    for token in ("A" * 22, "A" * 21, "A" * 23, "A" * 21 + "%20", "%2e%2e", "A" * 21 + "ä"):
        assert code(nobody.get(f"/f/{token}")) == (404, "link_not_found")
    world.app.tally.flush(world.app.database)
    assert world.app.telemetry.overview(SYSTEM).counters["firmware_links_unknown"] >= 6


class Follower:
    def __init__(self) -> None:
        self.over: set[int] = set()
        self.expired: list[int] = []

    def is_over(self, connection: Connection, number: int) -> bool:
        return number in self.over

    def served(  # noqa: PLR0917 - the same for every caller
        self, connection: Connection, number: int, artifact: int, to_byte: int, whole: bool, at: int
    ) -> None:
        raise AssertionError("nothing is sent")

    def link_expired(self, connection: Connection, number: int, at: int) -> None:
        self.expired.append(number)


def refusal(opening: Opening, link: str) -> str:
    with pytest.raises(Exception) as raised:
        opening.open(link.removeprefix("/f/"), [], lambda: None)
    return str(getattr(raised.value, "slug", raised.value))


def test_an_expired_link_asks_for_a_fresh_offer_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower()
    opening = Opening(world.app.database, world.app.tally, follower)
    life = world.app.settings.firmware_link_seconds * 1000
    link = world.link(update=5, at=now_ms() - life)
    for _ in range(3):
        assert refusal(opening, link) == "link_expired"
    assert follower.expired == [5]
    later = now_ms() + service.FRESH_MS + 1
    monkeypatch.setattr(service, "now_ms", lambda: later)
    assert refusal(opening, link) == "link_expired"
    assert follower.expired == [5, 5]
    fresh = world.link(update=5, at=later)
    assert opening.open(fresh.removeprefix("/f/"), [], lambda: None).sha256 == SHA
    follower.over.add(5)
    for one in (link, fresh):
        assert refusal(opening, one) == "update_over"
    assert follower.expired == [5, 5]


def test_a_withdrawn_release_and_a_disabled_device(world: World, nobody: httpx.Client) -> None:
    link = world.link()
    name = world.mine.device.reference
    world.app.devices.set_enabled(SYSTEM, name, enabled=False)
    assert code(nobody.get(link)) == (410, "update_over")
    world.app.devices.set_enabled(SYSTEM, name, enabled=True)
    assert nobody.head(link).status_code == 200
    releases = world.app.service(Releases)
    releases.step(SYSTEM, str(world.release), Step.DEPRECATE, reason="old")
    assert nobody.head(link).status_code == 200
    releases.step(SYSTEM, str(world.release), Step.WITHDRAW, reason="bad")
    assert code(nobody.get(link)) == (410, "update_over")


def test_links_are_few_and_of_one_tenant(world: World, nobody: httpx.Client) -> None:
    links = [world.link() for _ in range(LINKS_MAX + 2)]
    other = world.link(world.neighbour)
    assert [nobody.head(one).status_code for one in links] == [404, 404, 200, 200, 200]
    with pytest.raises(NotFound):
        world.link(world.foreign, update=world.update)
    assert nobody.head(other).status_code == 200
    old = world.link(at=1)
    world.link(world.neighbour)
    assert nobody.head(old).status_code == 404  # expired for longer than it is kept


def test_a_file_that_is_missing_is_not_the_end_of_an_update(
    world: World, nobody: httpx.Client
) -> None:
    link = world.link()
    path = world.app.service(Releases).files.path(SHA)
    path.write_bytes(IMAGE[:-1])
    answer = nobody.get(link)
    assert code(answer) == (503, "file_unavailable")
    assert answer.headers["retry-after"] == "60"
    path.unlink()
    assert code(nobody.get(link)) == (503, "file_unavailable")


def test_bytes_are_noted(world: World, nobody: httpx.Client) -> None:
    """By the process that serves them; here through the answer itself."""
    noted: list[Any] = []
    original = Downloads.served

    def spy(self: Downloads, update: int, what: Any) -> None:
        noted.append((update, *what))
        original(self, update, what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Downloads, "served", spy)
        link, update = world.link(), world.update
        nobody.head(link)
        assert noted == []
        nobody.get(link, headers={"Range": "bytes=-10"})
        wait_until(lambda: len(noted) == 1, "the end of a file to be noted")
        assert noted.pop() == (update, world.artifact, len(IMAGE), False)
        nobody.get(link, headers={"Range": "bytes=0-99999"})
        wait_until(lambda: noted and noted[-1][2] == 100_000, "a part to be noted")
        nobody.get(link, headers={"Range": "bytes=100000-"})
        wait_until(
            lambda: noted[-1] == (update, world.artifact, len(IMAGE), True), "the whole to be noted"
        )


def test_slow_readers_hold_their_own_places_only(
    world: World, nobody: httpx.Client, url: str, platform: App
) -> None:
    """A device that opens many downloads and reads none of them has its number of places."""
    # Longer than what a connection buffers on both sides.
    big = secrets.token_bytes(1 << 20) * 24
    releases = platform.service(Releases)
    made = releases.create(SYSTEM, NewRelease("trap", "2.0", "home"))
    with releases.files.receive(1 << 26) as incoming:
        incoming.write(big)
        made = releases.add_file(SYSTEM, str(made.id), "big.bin", incoming)
    releases.step(SYSTEM, str(made.id), Step.PUBLISH, unsigned=True)
    world.artifact = made.artifacts[0].id
    link, neighbours = world.link(), world.link(world.neighbour)
    held = [stuck(url, link) for _ in range(DOWNLOADS_MAX_PER_DEVICE)]
    try:
        busy = nobody.get(link)
        assert code(busy) == (429, "downloads_busy")
        assert 5 <= int(busy.headers["retry-after"]) <= 15
        assert nobody.head(link).status_code == 200
        held += [stuck(url, neighbours) for _ in range(2)]
        assert code(nobody.get(neighbours)) == (429, "downloads_busy")  # of the tenant
    finally:
        for one in held:
            one.close()
    wait_until(lambda: is_free(nobody, link), "the places to be free again")


def is_free(client: httpx.Client, link: str) -> bool:
    return client.get(link, headers={"Range": "bytes=0-0"}).status_code == 206


def stuck(url: str, link: str) -> socket.socket:
    """A connection that has got the head of an answer and reads nothing more."""
    host, _, port = url.removeprefix("http://").partition(":")
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect((host, int(port)))
    one.sendall(f"GET {link} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert one.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
    return one


def test_a_proxy_sends_the_file(
    platform: App, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    monkeypatch.setattr(Downloads, "served", lambda _self, update, _what: begun.append(update))
    settings = platform.settings.model_copy(update={"firmware_accel_path": "/files/"})
    with (
        serving(replace(platform, settings=settings)) as url,
        httpx.Client(base_url=url, verify=NO_TLS) as client,
    ):
        head = client.head(world.link())
        assert head.status_code == 200
        assert begun == [], "a device that only looks has not begun"
        answer = client.get(world.link(), headers={"Range": "bytes=5-"})
        assert begun == [world.update]
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["x-accel-redirect"] == f"/files/{SHA[:2]}/{SHA}"
        assert code(client.get(f"/f/{'A' * 22}")) == (404, "link_not_found")
