"""Firmware: offers, downloads that break off, hashes that differ, installs that restart."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_servers import Web, credentials, until
from mooring_device.backoff import Backoff
from mooring_device.builtin import dialect_of
from mooring_device.credentials import native_topics
from mooring_device.dialect import Payload
from mooring_device.download import Fetcher, fetcher_for
from mooring_device.errors import ConnectFailed, FirmwareRefused
from mooring_device.firmware import Firmware, Updates
from mooring_device.limits import Limits
from mooring_device.link import Arrived
from mooring_device.offers import Offer, parse_offer
from mooring_device.outbox import Outbox
from mooring_device.store import Store

IMAGE = bytes(range(256)) * 2_000
PLAIN = Payload(identifier=("id",))
SHA = hashlib.sha256(IMAGE).hexdigest()
OFFER: dict[str, Any] = {
    "version": "2.0",
    "url": "https://x/fw.bin",
    "sha256": SHA,
    "size": len(IMAGE),
}


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "abc"},
        {"sha256": None},
        {"size": 0},
        {"size": "12"},
        {"size": True},
        {"size": 1 << 40},
        {"url": "http://firmware.example/x"},
        {"url": "file:///etc/passwd"},
        {"url": "ftp://x/y"},
        {"url": ""},
    ],
)
def test_an_offer_that_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FirmwareRefused):
        parse_offer(json.dumps({**OFFER, **change}).encode(), PLAIN)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{}", b"\xff"])
def test_what_is_no_offer(payload: bytes) -> None:
    with pytest.raises(FirmwareRefused, match="not complete"):
        parse_offer(payload, PLAIN)


def test_an_offer_is_read() -> None:
    offer = parse_offer(json.dumps({**OFFER, "sha256": SHA.upper(), "id": "r1"}).encode(), PLAIN)
    assert offer == Offer("2.0", "https://x/fw.bin", SHA, len(IMAGE), "r1")
    assert parse_offer(json.dumps({**OFFER, "url": "http://127.0.0.1:1/x"}).encode(), PLAIN)


class Images:
    """Serves one image, with ranges; ``cut`` breaks off so many answers half way."""

    def __init__(self, web: Web, image: bytes = IMAGE) -> None:
        self.web = web
        self.image = image
        self.cut = 0
        self.ranges = True
        web.routes["GET /fw.bin"] = self.serve
        self.url = f"{web.url}/fw.bin"

    def serve(self, handler: Any, body: bytes) -> None:
        asked = handler.headers.get("Range")
        first = int(asked.split("=")[1].rstrip("-")) if asked and self.ranges else 0
        rest = self.image[first:]
        handler.send_response(206 if first else 200)
        if first:
            handler.send_header(
                "Content-Range", f"bytes {first}-{len(self.image) - 1}/{len(self.image)}"
            )
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        if self.cut:
            self.cut -= 1
            rest = rest[: len(rest) // 2]
        handler.wfile.write(rest)

    @property
    def asked(self) -> list[str | None]:
        return [headers.get("Range") for _, headers, _ in self.web.requests]


@pytest.fixture
def images(web: Web) -> Images:
    return Images(web)


def offer_of(images: Images, **more: Any) -> Offer:
    return Offer(**{**OFFER, "url": images.url, **more})


def fetch(folder: Path, offer: Offer) -> Path:
    fetcher = Fetcher(folder, ssl.create_default_context(), {}, timeout=5)
    return fetcher.fetch(offer, lambda percent: None, lambda: False)


def test_a_download_goes_on_where_it_broke_off(images: Images, tmp_path: Path) -> None:
    images.cut = 2
    for _ in range(2):
        with pytest.raises(ConnectFailed, match="broke off"):
            fetch(tmp_path, offer_of(images))
    path = fetch(tmp_path, offer_of(images))
    assert path.read_bytes() == IMAGE
    assert images.asked == [None, "bytes=256000-", "bytes=384000-"]


def test_a_server_without_ranges_starts_from_the_beginning(images: Images, tmp_path: Path) -> None:
    images.cut, images.ranges = 1, False
    with pytest.raises(ConnectFailed):
        fetch(tmp_path, offer_of(images))
    assert fetch(tmp_path, offer_of(images)).read_bytes() == IMAGE


def test_another_image_is_refused_and_removed(images: Images, tmp_path: Path) -> None:
    images.image = IMAGE[:-1] + b"!"
    with pytest.raises(FirmwareRefused, match="SHA-256"):
        fetch(tmp_path, offer_of(images))
    assert list(tmp_path.iterdir()) == []
    images.image = IMAGE + b"more"
    with pytest.raises(FirmwareRefused, match="larger"):
        fetch(tmp_path, offer_of(images))


def test_an_image_that_is_gone_is_not_asked_for_again(web: Web, tmp_path: Path) -> None:
    offer = Offer(**{**OFFER, "url": f"{web.url}/gone"})
    with pytest.raises(FirmwareRefused, match="404"):
        fetch(tmp_path, offer)


def test_a_redirect_to_plain_http_is_not_followed(web: Web, tmp_path: Path) -> None:
    def elsewhere(handler: Any, body: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", "http://firmware.example/fw.bin")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    web.routes["GET /fw.bin"] = elsewhere
    with pytest.raises(FirmwareRefused, match="only https"):
        fetch(tmp_path, Offer(**{**OFFER, "url": f"{web.url}/fw.bin"}))


def test_only_the_platform_gets_the_password(images: Images, web: Web, tmp_path: Path) -> None:
    where = credentials(1, username="u", password="p", http_url=web.url)
    fetcher_for(offer_of(images), tmp_path, where).fetch(
        offer_of(images), lambda percent: None, lambda: False
    )
    elsewhere = credentials(1, username="u", password="p", http_url="https://platform.example")
    fetcher_for(offer_of(images), tmp_path, elsewhere).fetch(
        offer_of(images), lambda percent: None, lambda: False
    )
    assert ["Authorization" in headers for _, headers, _ in web.requests] == [True, False]


# ------------------------------------------------------------------ the whole way


class Bench:
    """An ``Updates`` with a real store and real downloads."""

    def __init__(self, folder: Path, running: str = "1.0") -> None:
        self.store = Store(folder / "queue.db")
        self.installed: list[bytes] = []
        self.updates = Updates(
            self.store,
            Outbox(dialect_of("mooring", native_topics("t", "d"), {}), Limits()),
            running=running,
            fetcher=lambda offer: Fetcher(
                folder / "fw", ssl.create_default_context(), {}, timeout=5
            ),
            backoff=Backoff(floor=0, first=0.01, cap=0.02),
        )
        self.updates.handler = self.install

    def install(self, update: Firmware) -> None:
        self.installed.append(update.path.read_bytes())

    @property
    def reports(self) -> list[dict[str, Any]]:
        held = self.store.run(lambda t: t.read(1, 10**6, 1000, urgent=True))
        assert {h.channel for h in held} <= {"firmware_progress"}
        return [json.loads("{" + h.rest) for h in held]

    @property
    def states(self) -> list[str]:
        return [report["state"] for report in self.reports]

    def offer(self, images: Images, *, retained: bool = False, **more: Any) -> None:
        body = {**OFFER, "url": images.url, "id": "r1", **more}
        self.updates.arrived(Arrived("t", json.dumps(body).encode(), retained=retained), PLAIN)

    def close(self) -> None:
        self.updates.close(5)
        self.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.close()


def test_an_update_from_offer_to_done(bench: Bench, images: Images, tmp_path: Path) -> None:
    images.cut = 3
    bench.offer(images)
    until(lambda: "done" in bench.states, "the update is done")
    assert bench.installed == [IMAGE]
    assert bench.states[0] == "downloading"
    assert bench.states[-2:] == ["installing", "done"]
    percents = [r["percent"] for r in bench.reports]
    assert percents == sorted(percents)
    assert {(r["id"], r["version"]) for r in bench.reports} == {("r1", "2.0")}
    assert list((tmp_path / "fw").iterdir()) == []
    bench.offer(images, retained=True)  # as at every connect
    assert bench.installed == [IMAGE]


def test_the_version_that_runs_is_not_installed_again(bench: Bench, images: Images) -> None:
    bench.offer(images, version="1.0")
    assert bench.states == ["done"]
    assert images.asked == []


def test_an_install_that_fails_is_told(bench: Bench, images: Images) -> None:
    def broken(update: Firmware) -> None:
        raise OSError("the slot is read-only")

    bench.updates.handler = broken
    bench.offer(images)
    until(lambda: "failed" in bench.states, "the failure is reported")
    assert bench.reports[-1]["error"] == "OSError: the slot is read-only"
    before = len(images.asked)
    bench.offer(images, retained=True)
    assert len(images.asked) == before
    bench.updates.handler = bench.install
    bench.offer(images)  # ordered again, by a person
    until(lambda: "done" in bench.states, "the second try")


def test_an_offer_right_after_the_report_is_accepted(bench: Bench, images: Images) -> None:
    """The failure may be on the wire before the thread that told it has ended."""
    failed, gate = threading.Event(), threading.Event()
    report = bench.updates._report

    def slow(offer: Offer, state: str, **rest: Any) -> None:
        report(offer, state, **rest)
        if state == "failed":
            failed.set()
            gate.wait(20)

    def broken(update: Firmware) -> None:
        raise OSError("the slot is read-only")

    bench.updates.handler = broken
    bench.updates._report = slow  # type: ignore[method-assign]
    bench.offer(images)
    assert failed.wait(20)
    bench.updates.handler = bench.install
    bench.offer(images)
    until(lambda: "done" in bench.states, "the second try")
    assert bench.installed == [IMAGE]
    gate.set()


def test_a_refused_offer_is_told(bench: Bench, images: Images) -> None:
    bench.offer(images, url="http://firmware.example/x")
    assert bench.reports == [
        {
            "id": "r1",
            "version": "2.0",
            "state": "failed",
            "percent": 0,
            "error": "The firmware's address starts with http://, and only https:// is allowed.",
        }
    ]


def test_a_second_offer_meanwhile_is_refused(bench: Bench, images: Images) -> None:
    gate = threading.Event()
    bench.updates.handler = lambda update: gate.wait(20)
    bench.offer(images)
    until(lambda: "installing" in bench.states, "the first is being installed")
    bench.offer(images, version="3.0", id="r2")
    assert bench.reports[-1]["error"] == "Another update is under way."
    gate.set()
    until(lambda: "done" in bench.states, "the first is done")


@pytest.mark.parametrize(
    ("comes_back_with", "state", "error"),
    [
        ("2.0", "done", None),
        ("1.0", "failed", "came back with 1.0"),
        ("", "failed", "does not say"),
    ],
)
def test_a_device_that_restarts_while_installing(
    images: Images, tmp_path: Path, comes_back_with: str, state: str, error: str | None
) -> None:
    first, gate = Bench(tmp_path), threading.Event()
    first.updates.handler = lambda update: gate.wait(20)
    first.offer(images)
    until(lambda: "installing" in first.states, "it is being installed")
    first.store.close()  # the power goes
    second = Bench(tmp_path, running=comes_back_with)
    second.updates.start()
    assert second.states[-1] == state
    assert (error or "") in second.reports[-1].get("error", "")
    second.close()
    gate.set()


def test_a_download_goes_on_after_a_restart(images: Images, tmp_path: Path) -> None:
    first = Bench(tmp_path)
    images.cut = 1
    first.updates._backoff = Backoff(floor=60, first=60, cap=60)
    first.offer(images)
    until(lambda: images.asked, "the download began")
    until(lambda: list((tmp_path / "fw").glob("*.part")), "a part is there")
    until(lambda: images.cut == 0, "and broke off")
    first.close()
    second = Bench(tmp_path)
    second.updates.start()
    until(lambda: "done" in second.states, "it is installed")
    assert second.installed == [IMAGE]
    second.close()
