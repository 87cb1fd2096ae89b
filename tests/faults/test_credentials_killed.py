"""``mooring up`` itself is killed (SIGKILL) in the middle of a claim, a rotation and a lock."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from mooring.secrets import verifiers
from tests.faults.credentials.devices import Device, KeepsBoth, StoresNewest
from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

AGREE_SECONDS = 120.0


def kill_and_start(platform: Platform) -> None:
    assert platform.up is not None
    platform.up.kill()
    platform.start()


def claimed(platform: Platform, dialect: str, mac: str) -> tuple[httpx.Client, str, dict]:  # type: ignore[type-arg]
    code = platform.cli("claim", "new", "--dialect", dialect, "--json").json()["code"]
    web = httpx.Client(base_url=f"http://127.0.0.1:{platform.ports['http_port']}", timeout=30)
    answer = web.post("/api/v1/claims", json={"code": code, "hardware_id": mac})
    assert answer.status_code in {201, 202}, answer.text
    return web, code, answer.json()


def device_of(platform: Platform, firmware: type[Device], told: dict) -> Device:  # type: ignore[type-arg]
    device = firmware(
        platform.ports["mqtt_port"],
        told["username"],
        told["client_id"],
        told["topics"],
        told["password"],
    )
    device.start()
    return device


def agrees(platform: Platform, device: Device) -> bool:
    rows = platform.rows(
        "SELECT verifier FROM credentials WHERE (SELECT count(*) FROM broker_changes) = 0 "
        "AND (SELECT count(*) FROM rotations WHERE finished_at IS NULL) = 0"
    )
    return device.connected and bool(rows) and verifiers.check(device.password, rows[0][0])


@pytest.mark.parametrize("mode", ["dynamic_security", "password_file", "plugin"])
def test_after_a_claim(tmp_path: Path, mode: str) -> None:
    """The answer is lost with the process; the device asks again and gets the same."""
    with running_platform(tmp_path / "data", env={"MOORING_AUTH_MODE": mode}) as platform:
        web, code, told = claimed(platform, "mooring", "AA:BB:CC:DD:EE:01")
        kill_and_start(platform)
        asked = {"code": code, "hardware_id": "aabbccddee01"}
        again = wait_until(lambda: web.post("/api/v1/claims", json=asked), "an answer").json()
        assert again["password"] == told["password"]
        device = device_of(platform, KeepsBoth, again)
        wait_until(lambda: agrees(platform, device), "all to agree", timeout=AGREE_SECONDS)
        device.stop()


@pytest.mark.parametrize("mode", ["dynamic_security", "password_file", "plugin"])
@pytest.mark.parametrize("firmware", [KeepsBoth, StoresNewest])
@pytest.mark.parametrize("moment", [0.0, 0.7, 2.0])
def test_during_a_rotation(
    tmp_path: Path, mode: str, firmware: type[Device], moment: float
) -> None:
    dialect, mac = ("mooring", "AA:BB:CC:DD:EE:01")
    if firmware is StoresNewest:
        dialect, mac = "mousetrap", "aabbccddee01"
    with running_platform(tmp_path / "data", env={"MOORING_AUTH_MODE": mode}) as platform:
        _, _, told = claimed(platform, dialect, mac)
        device = device_of(platform, firmware, told)
        wait_until(
            lambda: platform.rows("SELECT 1 FROM credentials WHERE proved_at IS NOT NULL"),
            "the login to be seen",
        )
        platform.cli("device", "rotate", told["device"], "--wait", "0s")
        time.sleep(moment)
        kill_and_start(platform)
        wait_until(lambda: agrees(platform, device), "all to agree", timeout=AGREE_SECONDS)
        (phase,) = platform.rows("SELECT phase FROM rotations")[0]
        assert (phase == "settled") == (device.password != told["password"])
        device.stop()


def test_after_a_lock(tmp_path: Path) -> None:
    with running_platform(tmp_path / "data") as platform:
        _, _, told = claimed(platform, "mooring", "AA:BB:CC:DD:EE:01")
        device = device_of(platform, KeepsBoth, told)
        wait_until(lambda: device.connected, "the device to connect")
        assert platform.up is not None
        platform.up.kill()  # the broker goes on, and nobody tells it anything any more
        said = platform.cli("device", "disable", told["device"], "--json").stdout
        assert json.loads(said)["applied_by_broker"] is False
        assert device.connected
        platform.start()
        wait_until(lambda: not device.connected, "the session to end")
        time.sleep(2)
        assert not device.connected
        platform.cli("device", "enable", told["device"])
        wait_until(lambda: device.connected, "it to come back")
        device.stop()
