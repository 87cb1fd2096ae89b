"""Firmware: offers, downloads that break off, hashes that differ, installs that restart."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device_servers import Web, credentials, until
from mooring_device import download, firmware
from mooring_device.backoff import Backoff
from mooring_device.builtin import dialect_of
from mooring_device.credentials import native_topics
from mooring_device.dialect import Payload
from mooring_device.download import Fetcher, fetcher_for
from mooring_device.downloaded import Firmware
from mooring_device.errors import ConnectFailed, FirmwareRefused, Rejected
from mooring_device.firmware import TRIES, Updates
from mooring_device.limits import Limits
from mooring_device.link import Arrived
from mooring_device.offers import MISSED, Offer, parse_offer
from mooring_device.outbox import Outbox
from mooring_device.policy import FirmwarePolicy
from mooring_device.store import Store

UNSIGNED = FirmwarePolicy(unsigned=True)

IMAGE = bytes(range(256)) * 2_000
PLAIN = Payload(identifier=("id",))
IOTFLOW = Payload(identifier=("command_id",), values=("parameters",))
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
        self.answers: list[tuple[int, dict[str, str], bytes]] = []  # instead of the image
        self.stall = threading.Event()  # set: an answer stops at 40 %
        self.release = threading.Event()
        web.routes["GET /fw.bin"] = self.serve
        self.url = f"{web.url}/fw.bin"

    def serve(self, handler: Any, body: bytes) -> None:
        if self.answers:
            status, headers, said = self.answers.pop(0)
            handler.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(said))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(said)
            return
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
        if self.stall.is_set():
            handler.wfile.write(rest[: len(self.image) * 4 // 10])
            handler.wfile.flush()
            self.release.wait(60)
            return
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
    fetcher_for(offer_of(images), tmp_path / "other", elsewhere).fetch(
        offer_of(images), lambda percent: None, lambda: False
    )
    assert ["Authorization" in headers for _, headers, _ in web.requests] == [True, False]


# ------------------------------------------------------------------ the whole way


class Bench:
    """An ``Updates`` with a real store and real downloads."""

    def __init__(
        self, folder: Path, running: str = "1.0", policy: FirmwarePolicy | None = None
    ) -> None:
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
            link_wait=Backoff(floor=0, first=0.01, cap=0.02),
            policy=policy or UNSIGNED,
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
            "code": "link",
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


def problem(status: int, code: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """An answer of the platform instead of the image."""
    return status, headers, json.dumps({"code": code, "status": status}).encode()


def test_an_expired_link_waits_for_a_fresh_offer(
    bench: Bench, images: Images, web: Web, tmp_path: Path
) -> None:
    """At 60 % the link is over: what has arrived is kept, and no attempt is used."""
    images.cut = 1
    bench.updates._link_wait = Backoff(floor=60, first=60, cap=60)
    looks: list[int] = []

    def old(handler: Any, body: bytes) -> tuple[int, Any] | None:
        looks.append(1)
        if len(looks) > 1:
            return 410, {"code": "link_expired"}
        images.serve(handler, body)
        return None

    web.routes["GET /old"] = old
    bench.offer(images, url=f"{web.url}/old")
    until(lambda: len(looks) == 2, "it is asked again")
    part = tmp_path / "fw" / f"{SHA}.part"
    until(lambda: part.exists() and part.stat().st_size == 256_000, "the part is kept")
    assert "failed" not in bench.states
    bench.offer(images)  # the fresh offer: another link
    until(lambda: "done" in bench.states, "the update is done")
    assert bench.installed == [IMAGE]
    assert images.asked[-1] == "bytes=256000-"
    assert bench.states.count("installing") == 1


def test_a_fresh_offer_brings_a_link_and_nothing_else(
    bench: Bench, images: Images, web: Web
) -> None:
    """It is not checked: what the first one said stays."""
    bench.updates._link_wait = Backoff(floor=60, first=60, cap=60)
    kinds: list[str] = []
    bench.updates.handler = lambda update: kinds.append(update.kind)
    looks: list[int] = []

    def old(handler: Any, body: bytes) -> tuple[int, Any]:
        looks.append(1)
        return 410, {"code": "link_expired"}

    web.routes["GET /old"] = old
    bench.offer(images, url=f"{web.url}/old", security_version=1)
    until(lambda: bool(looks), "the link is looked at")
    bench.offer(images, kind="filesystem", security_version=9)
    until(lambda: "done" in bench.states, "the update is done")
    assert kinds == ["firmware"]
    bench.offer(images, version="3.0", id="r2", security_version=1)
    until(lambda: bench.states[-1] == "done" and len(kinds) == 2, "nothing was learned from it")


def test_an_offer_of_what_runs_teaches_nothing(bench: Bench, images: Images) -> None:
    """It is answered without being checked, so no later firmware is rejected because of it."""
    bench.offer(images, version="1.0", security_version=2**31 - 1)
    assert bench.states == ["done"]
    bench.offer(images, id="r2", security_version=1)
    until(lambda: bench.states[-1] == "done" and len(bench.installed) == 1, "it is accepted")


def test_an_expired_link_is_looked_at_again(bench: Bench, images: Images) -> None:
    """The fresh offer may get lost; each look makes the platform send another one."""
    images.answers = [problem(410, "link_expired")] * (TRIES + 5)
    bench.offer(images)
    until(lambda: "done" in bench.states, "more looks than there are attempts")
    assert bench.installed == [IMAGE]


def test_a_busy_server_uses_no_attempt(bench: Bench, images: Images) -> None:
    images.answers = [
        problem(status, "downloads_busy", **{"Retry-After": "0"})
        for status in (429, 503) * (TRIES // 2 + 1)
    ]
    busy = firmware.ServerBusy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "ServerBusy", lambda said, seconds: busy(said, 0.001))
        bench.offer(images)
        until(lambda: "done" in bench.states, "more answers than there are attempts")
    assert len(images.asked) == 2 * (TRIES // 2 + 1) + 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 1.0), ("999999", 3600.0), ("", 0.0), ("soon", 0.0)]
)
def test_retry_after(header: str, seconds: float) -> None:
    assert download._seconds(header) == seconds


def test_retry_after_as_a_date() -> None:
    from email.utils import formatdate

    assert 50 < download._seconds(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert download._seconds(formatdate(time.time() - 60, usegmt=True)) == 1.0


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(410, "update_over"), "link"),
        (problem(403, "link_of_another_device"), "link"),
        (problem(404, "link_not_found"), "link"),
        ((404, {}, b"<html>"), "http_4xx"),
        ((401, {}, b"[" * 20_000), "http_4xx"),
        ((200, {}, b"short"), "digest"),
    ],
)
def test_answers_that_end_an_update(
    bench: Bench, images: Images, answer: tuple[int, dict[str, str], bytes], code: str
) -> None:
    images.answers = [answer]
    bench.offer(images)
    until(lambda: "failed" in bench.states, "the failure is reported")
    assert bench.reports[-1]["code"] == code
    assert bench.installed == []


def test_attempts_end(bench: Bench, images: Images) -> None:
    images.answers = [(500, {}, b"")] * (TRIES + 5)
    bench.offer(images)
    until(lambda: "failed" in bench.states, "it gives up")
    assert bench.reports[-1]["code"] == "network"
    assert len(images.asked) == TRIES


def test_a_part_that_a_power_cut_spoiled_is_downloaded_again(
    bench: Bench, images: Images, tmp_path: Path
) -> None:
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / f"{SHA}.part").write_bytes(bytes(100_000))
    (tmp_path / "fw" / f"{'0' * 64}.part").write_bytes(b"of another image")
    bench.offer(images)
    until(lambda: "done" in bench.states, "the update is done")
    assert bench.installed == [IMAGE]
    assert images.asked == ["bytes=100000-", None]
    assert list((tmp_path / "fw").iterdir()) == []


def test_another_image_ends_the_update(bench: Bench, images: Images, tmp_path: Path) -> None:
    images.image = IMAGE[:-1] + b"!"
    bench.offer(images)
    until(lambda: "failed" in bench.states, "the failure is reported")
    assert bench.reports[-1]["code"] == "digest"
    assert list((tmp_path / "fw").iterdir()) == []


def test_a_full_disk(bench: Bench, images: Images, tmp_path: Path) -> None:
    (tmp_path / "fw").mkdir()
    part = tmp_path / "fw" / f"{SHA}.part"
    part.symlink_to("/dev/full")
    bench.offer(images)
    until(lambda: "failed" in bench.states, "the failure is reported")
    assert bench.reports[-1]["code"] == "no_space"
    assert not part.is_symlink()  # its room is free for readings


def test_a_disk_that_is_too_small(bench: Bench, images: Images) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
        bench.offer(images)
        until(lambda: "failed" in bench.states, "the failure is reported")
    assert bench.reports[-1]["code"] == "no_space"
    assert images.asked == []


def test_a_policy_refuses_before_anything_is_downloaded(images: Images, tmp_path: Path) -> None:
    one = Bench(tmp_path, policy=FirmwarePolicy())
    one.offer(images)
    assert one.reports[-1]["code"] == "signature"
    one.offer(images, retained=True)
    assert images.asked == []
    assert one.states == ["failed"]
    one.close()


def test_a_downgrade_is_refused(bench: Bench, images: Images) -> None:
    bench.offer(images, version="0.9")
    assert (bench.states, bench.reports[-1]["code"]) == (["failed"], "downgrade")
    bench.offer(images, version="v1.0.0", id="r2")  # the version that runs, spelled otherwise
    assert bench.states[-1] == "done"
    assert images.asked == []


def test_a_security_version_never_goes_down(images: Images, tmp_path: Path) -> None:
    one = Bench(tmp_path)
    one.offer(images, security_version=7)
    until(lambda: "done" in one.states, "the update is done")
    one.offer(images, version="3.0", id="r2", security_version=6)
    assert one.reports[-1]["code"] == "downgrade"
    one.offer(images, version="3.0", id="r3", security_version=7)
    until(lambda: one.states[-1] == "done", "the same security version")
    one.close()


# ------------------------------------------------------------------ later, cancelled


def test_a_handler_defers_an_offer(bench: Bench, images: Images) -> None:
    asked: list[str] = []

    def later(offer: Offer) -> None:
        asked.append(offer.version)
        if len(asked) < 3:
            offer.defer(0.01)

    bench.updates.on_offer = later
    bench.offer(images)
    until(lambda: "done" in bench.states, "the update is done")
    assert bench.states[:3] == ["deferred", "deferred", "downloading"]
    assert bench.reports[0]["seconds"] == 0
    assert asked == ["2.0"] * 3


def test_a_handler_defers_the_installation(bench: Bench, images: Images) -> None:
    tries: list[bytes] = []

    def install(update: Firmware) -> None:
        tries.append(update.path.read_bytes())
        if len(tries) == 1:
            update.defer(0.01)

    bench.updates.handler = install
    bench.offer(images)
    until(lambda: "done" in bench.states, "the update is done")
    assert tries == [IMAGE, IMAGE]
    assert len(images.asked) == 1


def test_a_deferred_update_survives_a_restart(images: Images, tmp_path: Path) -> None:
    first = Bench(tmp_path)
    first.updates.handler = lambda update: update.defer(3600)
    first.offer(images)
    until(lambda: "deferred" in first.states, "it is deferred")
    assert first.reports[-1]["seconds"] == 3600
    first.close()
    second = Bench(tmp_path)
    second.updates.start()
    until(lambda: "done" in second.states, "it is installed")
    assert len(images.asked) == 1  # the image was there
    second.close()


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def test_the_image_waits_on_disk_for_its_window(
    bench: Bench, images: Images, tmp_path: Path
) -> None:
    now = time.time()
    bench.offer(images, install_after=iso(now + 3600), install_before=iso(now + 7200))
    until(lambda: "deferred" in bench.states, "it waits")
    assert (tmp_path / "fw" / f"{SHA}.part").exists() or any((tmp_path / "fw").iterdir())
    report = bench.reports[-1]
    assert 3600 < report["seconds"] <= 3600 + firmware.WINDOW_MARGIN
    assert "window" in report["detail"]
    assert bench.installed == []
    # A fresh offer moves the window, and the device answers it.
    bench.offer(images, install_after=iso(now + 1800), install_before=iso(now + 7200))
    until(lambda: bench.states.count("deferred") == 2, "the fresh offer is answered")
    bench.offer(images, install_after=iso(now - 10), install_before=iso(now + 7200))
    until(lambda: "done" in bench.states, "it is installed in the window")
    assert bench.installed == [IMAGE]
    assert len(images.asked) == 1


def test_a_missed_window_waits_for_an_offer_with_the_next_one(bench: Bench, images: Images) -> None:
    now = time.time()
    bench.offer(images, install_after=iso(now - 7200), install_before=iso(now - 3600))
    until(lambda: "deferred" in bench.states, "it waits")
    assert bench.reports[-1]["seconds"] == MISSED
    assert bench.installed == []
    bench.offer(images)  # without a window
    until(lambda: "done" in bench.states, "it is installed")


def test_an_image_that_waits_can_be_cancelled(bench: Bench, images: Images) -> None:
    bench.offer(images, install_after=iso(time.time() + 3600))
    until(lambda: "deferred" in bench.states, "it waits")
    assert bench.updates.cancel("r1")
    until(lambda: bench.states[-1] == "cancelled", "it is cancelled")
    assert bench.installed == []


def test_a_kept_offer_is_read_by_earlier_and_from_later_versions() -> None:
    """A device rolls back to firmware with an earlier SDK, which knows no windows."""
    offer = Offer("2.0", "https://x/", SHA, 1)
    assert {"install_after", "install_before"}.isdisjoint(offer.to_keep())
    waits = replace(offer, install_after=5.0, install_before=6.0)
    assert Offer.kept(json.loads(json.dumps(waits.to_keep()))) == waits
    assert Offer.kept({**offer.to_keep(), "of_a_later_version": [1]}) == offer


def test_a_window_that_moves_at_the_last_moment(
    bench: Bench, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates, wait, moved = bench.updates, bench.updates._wait_for_window, threading.Event()

    def moves() -> None:
        wait()
        if not moved.is_set():
            updates._active = replace(updates._offer, install_after=time.time() + 3600)
            moved.set()

    monkeypatch.setattr(updates, "_wait_for_window", moves)
    bench.offer(images)
    until(lambda: "deferred" in bench.states or bench.installed, "it waits")
    assert bench.installed == []


def test_a_window_is_not_kept_once_the_image_is_installed(bench: Bench, images: Images) -> None:
    now = time.time()
    bench.offer(images, install_after=iso(now - 10), install_before=iso(now + 7200))
    until(lambda: "done" in bench.states, "it is installed")
    known = bench.updates._known()
    assert known is not None
    assert {"install_after", "install_before"}.isdisjoint(known["offer"])


@pytest.mark.parametrize(
    ("after", "before", "now", "waits"),
    [
        (0.0, 0.0, 50.0, 0.0),
        (100.0, 200.0, 50.0, 50.0),
        (100.0, 200.0, 100.0, 0.0),
        (100.0, 200.0, 199.0, 0.0),
        (100.0, 200.0, 200.0, MISSED),
        (100.0, 0.0, 1e9, 0.0),
    ],
)
def test_when_an_image_may_be_installed(
    after: float, before: float, now: float, waits: float
) -> None:
    offer = Offer("2.0", "https://x/", SHA, 1, install_after=after, install_before=before)
    assert offer.seconds_to_wait(now) == waits


@pytest.mark.parametrize("wrong", ["later", "2026-01-01T00:00:00", 7])
def test_a_window_that_cannot_be_read_is_refused(wrong: object) -> None:
    with pytest.raises(FirmwareRefused):
        parse_offer(json.dumps({**OFFER, "install_after": wrong}).encode(), PLAIN)


def test_a_handler_rejects_an_offer(bench: Bench, images: Images) -> None:
    def never(offer: Offer) -> None:
        raise Rejected("Not at sea.")

    bench.updates.on_offer = never
    bench.offer(images)
    until(lambda: "rejected" in bench.states, "it is reported")
    assert (bench.reports[-1]["code"], bench.reports[-1]["error"]) == ("refused", "Not at sea.")
    assert images.asked == []


@pytest.mark.parametrize("by", ["channel", "offer", "iotflow"])
def test_a_download_is_cancelled(bench: Bench, images: Images, tmp_path: Path, by: str) -> None:
    images.stall.set()
    bench.offer(images)
    until(lambda: list((tmp_path / "fw").glob("*.part")), "a part is there")
    assert bench.updates.cancel("other") is False
    if by == "channel":
        assert bench.updates.cancel("r1") is True
    else:
        shape = PLAIN if by == "offer" else IOTFLOW
        said = {"id": "r1", "cancel": True}
        if by == "iotflow":
            said = {"command_id": "r1", "parameters": {"cancel": True}}
        bench.updates.arrived(Arrived("t", json.dumps(said).encode(), retained=False), shape)
    images.release.set()
    until(lambda: "cancelled" in bench.states, "it is reported")
    until(lambda: not list((tmp_path / "fw").iterdir()), "what arrived is removed")
    images.stall.clear()
    bench.offer(images, id="r2")  # by a later rollout
    until(lambda: "done" in bench.states, "the update is done")


def test_an_installation_is_not_cancelled(bench: Bench, images: Images) -> None:
    gate = threading.Event()
    bench.updates.handler = lambda update: gate.wait(20)
    bench.offer(images)
    until(lambda: "installing" in bench.states, "it is being installed")
    assert bench.updates.cancel("r1") is True  # known, and too late
    gate.set()
    until(lambda: "done" in bench.states, "the update is done")


# ------------------------------------------------------------------ confirmed, rolled back

TRIAL = FirmwarePolicy(unsigned=True, confirm_within=3600)


def after_install(images: Images, folder: Path, **more: Any) -> Bench:
    """A device that has come back with the new version."""
    first = Bench(folder, policy=TRIAL)
    first.offer(images)
    until(lambda: "rebooting" in first.states, "it is installed")
    first.close()
    return Bench(folder, running="2.0", **{"policy": TRIAL, **more})


def test_a_new_version_is_confirmed(images: Images, tmp_path: Path) -> None:
    one = after_install(images, tmp_path)
    one.updates.start()
    assert one.states[-1] == "installed"
    one.offer(images)  # offered again meanwhile: it is no proof
    assert one.states[-1] == "installed"
    assert one.updates.confirm() is True
    assert one.states[-1] == "done"
    assert one.updates.confirm() is False
    assert one.updates.roll_back("too late") is False
    one.close()


@pytest.mark.parametrize("way", ["says so", "in time", "died"])
def test_a_new_version_is_rolled_back(images: Images, tmp_path: Path, way: str) -> None:
    policy = FirmwarePolicy(unsigned=True, confirm_within=0.05 if way == "in time" else 3600)
    one = after_install(images, tmp_path, policy=policy)
    why: list[str] = []
    one.updates.on_roll_back = why.append
    one.updates.start()
    if way == "says so":
        assert one.updates.roll_back("The rudder does not answer.") is True
    elif way == "died":
        one.close()
        one = Bench(tmp_path, running="2.0", policy=TRIAL)
        one.updates.on_roll_back = why.append
        one.updates.start()
    until(lambda: why, "the handler is called")
    assert one.updates.confirm() is False
    one.close()
    back = Bench(tmp_path, running="1.0", policy=TRIAL)
    back.updates.start()
    assert (back.states[-1], back.reports[-1]["code"]) == ("failed", "health")
    assert back.reports[-1]["error"] == why[0]
    back.offer(images, retained=True)  # not again by itself
    assert back.states[-1] == "failed"
    back.close()


def test_a_roll_back_that_does_not_work_ends(images: Images, tmp_path: Path) -> None:
    one = after_install(images, tmp_path)
    one.updates.start()
    one.close()
    calls: list[str] = []
    for _ in range(5):
        again = Bench(tmp_path, running="2.0", policy=TRIAL)
        again.updates.on_roll_back = calls.append
        again.updates.start()
        states, last = again.states, again.reports[-1]
        again.close()
    assert len(calls) == 3
    assert states[-1] == "failed"
    assert "still runs" in last["error"]


def test_a_device_without_a_way_back_says_so(images: Images, tmp_path: Path) -> None:
    one = after_install(images, tmp_path)
    one.updates.start()
    assert one.updates.roll_back("Broken.") is True
    assert (one.reports[-1]["code"], one.reports[-1]["error"]) == ("health", "Broken.")
    one.close()


def test_a_boot_loader_that_goes_back_by_itself(images: Images, tmp_path: Path) -> None:
    one = after_install(images, tmp_path)
    one.updates.start()
    one.close()
    back = Bench(tmp_path, running="1.0", policy=TRIAL)
    back.updates.start()
    assert back.reports[-1]["code"] == "health"
    assert "came back with 1.0" in back.reports[-1]["error"]
    back.close()


# ------------------------------------------------------------------ the power goes

VICTIM = """
import json, ssl, sys, time
from pathlib import Path
from mooring_device.builtin import dialect_of
from mooring_device.credentials import native_topics
from mooring_device.dialect import Payload
from mooring_device.download import Fetcher
from mooring_device.firmware import Updates
from mooring_device.limits import Limits
from mooring_device.link import Arrived
from mooring_device.outbox import Outbox
from mooring_device.policy import FirmwarePolicy
from mooring_device.store import Store

folder, offer = Path(sys.argv[1]), sys.argv[2]
updates = Updates(
    Store(folder / "queue.db"),
    Outbox(dialect_of("mooring", native_topics("t", "d"), {}), Limits()),
    running="1.0",
    fetcher=lambda offer: Fetcher(folder / "fw", ssl.create_default_context(), {}, timeout=60),
    policy=FirmwarePolicy(unsigned=True),
)
updates.handler = lambda update: None
updates.arrived(Arrived("t", offer.encode(), retained=False), Payload(identifier=("id",)))
time.sleep(120)
"""


def test_the_power_goes_at_forty_percent(images: Images, tmp_path: Path) -> None:
    images.stall.set()
    offer = json.dumps({**OFFER, "url": images.url, "id": "r1"})
    victim = subprocess.Popen([sys.executable, "-c", VICTIM, str(tmp_path), offer])
    part, there = tmp_path / "fw" / f"{SHA}.part", len(IMAGE) * 4 // 10
    try:
        until(lambda: part.exists() and part.stat().st_size >= there - 65_536, "40 % are there")
    finally:
        victim.kill()
        victim.wait()
        images.release.set()
    have = part.stat().st_size
    images.stall.clear()
    second = Bench(tmp_path)
    second.updates.start()
    until(lambda: "done" in second.states, "it is installed")
    assert second.installed == [IMAGE]
    assert images.asked == [None, f"bytes={have}-"]
    second.close()
