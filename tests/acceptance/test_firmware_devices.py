"""Firmware from an offer to its outcome: devices of the SDK and the whole platform."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring.app import open_app
from mooring.identity.actor import SYSTEM
from mooring.ota.releases import manifest
from mooring.ota.updates.model import Options as UpdateOptions
from mooring.ota.updates.service import Updates
from mooring.settings import Settings
from mooring_device import Backoff, Device, Firmware, FirmwarePolicy, Offer, Options
from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until

PRIVATE, STRANGE = (manifest.generate(one) for one in manifest.ALGORITHMS)
QUICK = Options(backoff=Backoff(floor=0.1, first=0.3, cap=1.0), linger=2.0)
IMAGE = secrets.token_bytes(400_000)


def pem(key: Any) -> str:
    return manifest.public_pem(key.public_key())


@dataclass
class Stand:
    """A platform with a signed release, version 2.0 of a product for the hardware boat-2."""

    platform: Platform
    http: httpx.Client
    release: int = 0
    sha256: str = ""

    def publish(self, version: str, image: bytes) -> None:
        said = {"product": "boat", "version": version, "hardware": ["boat-2"]}
        new = {**said, "security_version": 3}
        self.release = self.http.post("/api/v1/firmware", json=new).json()["id"]
        place = f"/api/v1/firmware/{self.release}"
        answer = self.http.put(f"{place}/files/boat.bin", content=image)
        self.sha256 = answer.json()["artifacts"][0]["sha256"]
        signed = self.http.get(f"{place}/files/boat.bin/manifest").content
        signature = manifest.sign(PRIVATE, signed)._asdict()
        self.http.post(f"{place}/files/boat.bin/signatures", json=signature)
        assert self.http.post(f"{place}/publish", json={}).status_code == 200

    def device(self, folder: Path, policy: FirmwarePolicy, **more: Any) -> Device:
        new = {"name": f"b-{secrets.token_hex(3)}", "tenant": "default", "dialect": "mooring"}
        answer = self.http.post("/api/v1/devices", json=new).json()
        wait_until(lambda: not self.platform.waiting(), "the broker to accept the device")
        return Device(answer, store=folder, options=QUICK, firmware="1.0", policy=policy, **more)

    def offer(self, device: Device) -> int:
        settings = Settings(
            data_dir=self.platform.data_dir, http_port=self.platform.ports["http_port"]
        )
        name = f"default:{device.credentials.device}"
        with open_app(settings) as app:
            options = UpdateOptions(force_hardware=True)
            return app.service(Updates).offer(SYSTEM, name, str(self.release), options).id

    def update(self, number: int) -> tuple[Any, ...]:
        """State, code and words of an update."""
        (row,) = self.platform.rows(
            "SELECT state, code, words FROM firmware_updates WHERE id = ?", number
        )
        return row


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with running_platform(tmp_path_factory.mktemp("firmware") / "data") as platform:
        made = platform.cli("key", "new", "fw", "--role", "admin", "--json").json()
        url = f"http://127.0.0.1:{platform.ports['http_port']}"
        with httpx.Client(base_url=url, headers={"X-API-Key": made["secret"]}, timeout=30) as http:
            http.post("/api/v1/firmware-keys", json={"name": "build", "public_key": pem(PRIVATE)})
            one = Stand(platform, http)
            one.publish("2.0", IMAGE)
            yield one


def policy(**more: Any) -> FirmwarePolicy:
    return FirmwarePolicy(**{"keys": (pem(STRANGE), pem(PRIVATE)), "hardware": "boat-2", **more})


def test_a_signed_update_is_installed(stand: Stand, tmp_path: Path) -> None:
    device = stand.device(tmp_path, policy(confirm_within=600))
    installed: list[bytes] = []
    asked: list[str] = []

    @device.on_offer
    def offered(offer: Offer) -> None:
        asked.append(offer.version)
        if len(asked) == 1:
            offer.defer(0)

    @device.on_firmware
    def install(update: Firmware) -> None:
        installed.append(update.path.read_bytes())

    with device:
        assert device.wait_connected(20)
        number = stand.offer(device)
        wait_until(lambda: installed, "the image to be installed")
        wait_until(lambda: stand.update(number)[0] == "rebooting", "its report")
    assert installed == [IMAGE]
    assert asked == ["2.0", "2.0"]

    # After the reboot. What the device itself says is not yet the proof.
    again = Device(
        device.credentials,
        store=tmp_path,
        options=QUICK,
        firmware="2.0",
        policy=policy(confirm_within=600),
    )
    again.on_firmware(install)
    with again:
        wait_until(lambda: stand.update(number)[0] == "installed", "the new version")
        assert again.confirm() is True
        assert again.wait_drained(20)


REFUSALS = {
    "signature": policy(keys=(pem(STRANGE),)),
    "hardware": policy(hardware="boat-1"),
    "downgrade": policy(security_version=4),
    "refused": policy(kinds=("filesystem",)),
}


@pytest.mark.parametrize("code", REFUSALS)
def test_what_a_device_refuses_is_known_on_both_sides(
    stand: Stand, tmp_path: Path, code: str
) -> None:
    device = stand.device(tmp_path, REFUSALS[code])
    installed: list[Any] = []
    device.on_firmware(installed.append)
    with device:
        assert device.wait_connected(20)
        number = stand.offer(device)
        wait_until(lambda: stand.update(number)[0] == "failed", "the failure to be known")
    state, known, words = stand.update(number)
    assert (state, known) == ("failed", code)
    assert words.endswith(".")
    assert installed == []
    assert not (tmp_path / "firmware").exists()  # refused before anything was downloaded


def test_a_file_that_changed_on_the_server(stand: Stand, tmp_path: Path) -> None:
    """As many bytes, and others: the device's digest decides."""
    stand.publish("2.1", bytes(1000))
    path = stand.platform.data_dir / "artifacts" / stand.sha256[:2] / stand.sha256
    path.write_bytes(b"x" * 1000)
    device = stand.device(tmp_path, policy())
    installed: list[Any] = []
    device.on_firmware(installed.append)
    with device:
        assert device.wait_connected(20)
        number = stand.offer(device)
        wait_until(lambda: stand.update(number)[0] == "failed", "the failure to be known")
    assert stand.update(number)[1] == "digest"
    assert installed == []
