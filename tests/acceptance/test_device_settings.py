"""Settings of devices through the whole platform: the how-to page, SDK and plain clients, kills."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring_device import Backoff, Device, Options
from tests.support.page_commands import Block, Shell, blocks, section
from tests.support.platform import Login, Platform
from tests.support.source import ROOT
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "how-to" / "device-settings.md").read_text(encoding="utf-8")
QUICK = Options(backoff=Backoff(floor=0.1, first=0.4, cap=1.0))


class Lamp:
    """A device with the SDK that remembers every settings it is given."""

    def __init__(self, platform: Platform, name: str, folder: Path) -> None:
        answer = platform.cli("device", "add", name, "--dialect", "mooring", "--json").json()
        self.name = name
        self.seen: list[dict[str, Any]] = []
        self._answer, self._folder = answer, folder
        self.device = self._made()

    def _made(self) -> Device:
        device = Device(self._answer, store=self._folder, options=QUICK)
        device.on_config(self.seen.append)
        return device

    def again(self) -> None:
        """A new object for the same device, as after a restart."""
        self.device = self._made()


@pytest.fixture
def lamp(platform: Platform, tmp_path: Path) -> Iterator[Lamp]:
    made = Lamp(platform, f"lamp-{tmp_path.name}"[:60], tmp_path / "store")
    yield made
    made.device.close()


@pytest.fixture(scope="module")
def http(platform: Platform) -> Iterator[httpx.Client]:
    """The REST interface, which costs less than a command each time."""
    key = platform.cli("key", "new", "settings", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{platform.ports['http_port']}/api/v1/"
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        yield client


def show(http: httpx.Client, name: str) -> dict[str, Any]:
    answer = http.get(f"devices/{name}/settings")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def change(http: httpx.Client, name: str, **settings: Any) -> dict[str, Any]:
    answer = http.patch(f"devices/{name}/settings", json=settings)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_page_is_followed(platform: Platform, http: httpx.Client, tmp_path: Path) -> None:
    shell = Shell(platform, tmp_path / "clone")
    lamp = Lamp(platform, "lamp-1", tmp_path / "store")
    key = http.headers["Authorization"].removeprefix("Bearer ")
    url = f"http://127.0.0.1:{platform.ports['http_port']}"
    schema = re.search(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)
    assert schema is not None
    (shell.place / "schema.json").write_text(schema[1])

    def follow(heading: str) -> str:
        printed = ""
        for block in blocks(section(PAGE, heading)):
            text = block.commands.replace("$MOORING_URL", url).replace("$KEY", key)
            printed += shell.run(Block(text, block.promise))
        return printed

    def has(**settings: Any) -> bool:
        return bool(lamp.seen) and lamp.seen[-1] == settings

    def in_sync() -> bool:
        return bool(show(http, "lamp-1")["state"] == "in_sync")

    with lamp.device:
        assert lamp.device.wait_connected(30)
        assert "attic" in follow("Set and remove")
        assert show(http, "lamp-1")["own"] == {"interval_s": 60}
        wait_until(lambda: has(interval_s=60), "the settings on the device")
        follow("Set for many devices")
        wait_until(lambda: has(interval_s=60, alert={"above": 40}), "the levels' settings")
        wait_until(in_sync, "the report")
        assert "interval_s" in follow("See what happened")
        follow("Guard a risky change")
        wait_until(lambda: show(http, "lamp-1")["guard"] is None, "the confirmation", timeout=40)
        assert "x-secret" in follow("Schemas")
        wait_until(in_sync, "the report of the guarded change")
        assert show(http, "lamp-1")["reported"]["settings"]["wifi"] == {"ssid": "cellar"}
    for level in (("tenant", "default", "interval_s"), ("dialect", "mooring", "alert")):
        platform.cli("settings", "unset", *level)
    platform.cli("settings", "schema", "remove", "tenant", "default")


def test_three_changes_while_a_device_is_off(
    platform: Platform, http: httpx.Client, lamp: Lamp
) -> None:
    """With a persistent session, in which the broker queues all three."""
    with lamp.device:
        assert lamp.device.wait_connected(30)
    for number in (1, 2, 3):
        answer = change(http, lamp.name, x=number)
        assert answer["version"] == number
        wait_until(lambda: show(http, lamp.name)["state"] == "sent", "the broker to have it")
    lamp.again()
    with lamp.device:
        wait_until(lambda: show(http, lamp.name)["state"] == "in_sync", "the report")
    assert lamp.seen == [{"x": 3}]


@pytest.mark.parametrize("changes", [60, pytest.param(1_000, marks=[pytest.mark.soak])])
def test_no_version_comes_after_a_higher_one(
    platform: Platform, http: httpx.Client, changes: int
) -> None:
    """Changes by many at the same time have versions without gap or twin."""
    login = platform.add(f"rapid-{changes}", "mooring")
    client = platform.connect(login)
    client.subscribe(login.topics["config"])
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda x: change(http, login.device, x=x)["version"], range(1, changes + 1))
        )
    assert sorted(made) == list(range(1, changes + 1))

    def versions() -> list[int]:
        received.extend(json.loads(one.payload)["version"] for one in client.waiting())
        return received

    received: list[int] = []
    wait_until(lambda: versions()[-1:] == [changes], "the newest version", timeout=60)
    assert received == sorted(set(received))


def test_a_plain_client_gets_the_newest_version_once(
    platform: Platform, http: httpx.Client
) -> None:
    login = platform.add("plain-1", "smarthome", "--tenant", "1")
    for number in (1, 2, 3):
        change(http, login.reference, sampleRate=number)
    state = "sent, not reported"
    wait_until(lambda: show(http, login.reference)["state_text"] == state, "sent")
    done = subprocess.run(
        [
            "mosquitto_sub",
            *("-h", "127.0.0.1", "-p", str(platform.ports["mqtt_port"]), "-q", "1"),
            *("-u", login.username, "-P", login.password, "-i", login.client_id),
            *("-t", login.topics["config"], "-W", "2"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["config"] == {"sampleRate": 3}


def test_a_change_of_a_level_survives_a_killed_worker(
    platform: Platform, http: httpx.Client
) -> None:
    logins = [platform.add(f"fleet-{n}", "pulse", "--tenant", "fleet") for n in range(4)]
    platform.cli("settings", "set", "tenant", "fleet", "interval=5")
    os.kill(platform.pid("worker"), signal.SIGKILL)

    def versions() -> list[Any]:
        return [show(http, login.reference)["version"] for login in logins]

    wait_until(lambda: versions() == [1, 1, 1, 1], "the settings of every device", timeout=60)


@pytest.mark.attack("reads another device's settings")
def test_another_devices_settings_cannot_be_read(
    platform: Platform, http: httpx.Client, lamp: Lamp
) -> None:
    change(http, lamp.name, pin=4711)
    wait_until(lambda: show(http, lamp.name)["state"] == "sent", "the broker to have it")
    spy: Login = platform.add(f"spy-{lamp.name}"[:60], "mooring")
    topic = f"mooring/default/{lamp.name}/config"
    done = subprocess.run(
        [
            "mosquitto_sub",
            *("-h", "127.0.0.1", "-p", str(platform.ports["mqtt_port"])),
            *("-u", spy.username, "-P", spy.password, "-i", spy.client_id),
            *("-t", topic, "-t", "#", "-W", "1"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "4711" not in done.stdout
