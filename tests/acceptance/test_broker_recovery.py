"""The broker's files lost, emptied or changed: rebuilt from verifiers alone."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mqtt import Refused
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

FILES = {
    "dynamic_security": ("dynamic-security.json",),
    "password_file": ("passwd", "acl"),
    "plugin": ("accounts.db",),
}
EMPTY = {"dynamic-security.json": "{}", "passwd": "", "acl": "", "accounts.db": ""}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=list(FILES))
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    env = {
        "MOORING_AUTH_MODE": request.param,
        "MOORING_RELOAD_DEBOUNCE_SECONDS": "0.1",
        "MOORING_BROKER_COMPARE_SECONDS": "3600",
    }
    directory = tmp_path_factory.mktemp("recovery") / "data"
    with running_platform(directory, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def login(platform: Platform) -> Login:
    return platform.add("cab-1", "drivesafe")


def files(platform: Platform) -> list[Path]:
    folder = platform.data_dir / "broker"
    return [folder / name for name in FILES[platform.cli.env["MOORING_AUTH_MODE"]]]


def lose(paths: list[Path], how: str) -> None:
    for path in paths:
        if how == "deleted":
            path.unlink()
        else:
            path.write_text(EMPTY[path.name])


def broker_pid(platform: Platform) -> int:
    written = (platform.data_dir / "broker" / "mosquitto.pid").read_text()
    return int(written or 0)  # empty for the moment in which it is written


def works(platform: Platform, login: Login) -> bool:
    try:
        client = platform.connect(login, client_id=f"try-{login.device}")
    except (Refused, OSError):
        return False
    client.publish(login.topics["telemetry"], '{"value":1}')
    client.disconnect()
    return True


def test_sync_rebuilds_the_files_while_everything_runs(platform: Platform, login: Login) -> None:
    client = platform.connect(login)
    pid = broker_pid(platform)
    lose(files(platform), "deleted")
    if platform.cli.env["MOORING_AUTH_MODE"] == "plugin":
        # The plugin says so itself, and nobody has to ask.
        wait_until(files(platform)[0].exists, "the file to be made again")
        assert platform.cli("broker", "sync", "--json").json()["differences"] == []
        assert client.connected
        return
    shown = platform.cli("broker", "sync", "--dry-run", "--json", expect=1).json()
    assert login.username in {d["username"] for d in shown["differences"]}
    assert shown["mended"] is False
    assert shown["needs_restart"] == []
    mended = platform.cli("broker", "sync", "--json").json()
    assert mended["mended"] is True
    assert mended["restarted"] is False
    again = platform.cli("broker", "sync", "--dry-run", "--json").json()
    assert again["differences"] == []
    # Nobody was disconnected, and a broker that starts from the files lets everybody in.
    assert client.connected
    assert broker_pid(platform) == pid
    restart(platform)
    wait_until(lambda: works(platform, login), "the device to get in", timeout=60)


def restart(platform: Platform) -> None:
    """The broker is killed and started again by the platform."""
    pid = broker_pid(platform)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: broker_pid(platform) not in (0, pid), "another broker", timeout=60)


def test_a_broker_killed_with_its_files_emptied_comes_back(
    platform: Platform, login: Login
) -> None:
    lose(files(platform), "emptied")
    restart(platform)
    wait_until(lambda: works(platform, login), "the device to get in", timeout=60)


def test_a_new_device_takes_nobodys_place_when_files_were_emptied(
    platform: Platform, login: Login
) -> None:
    client = platform.connect(login)
    lose(files(platform), "emptied")
    other = platform.add("cab-9", "drivesafe")
    assert works(platform, other)
    assert client.connected
    assert works(platform, login)


def test_an_account_that_nobody_ordered_is_removed(platform: Platform, login: Login) -> None:
    if platform.cli.env["MOORING_AUTH_MODE"] == "password_file":
        path = platform.data_dir / "broker" / "passwd"
        line = next(x for x in path.read_text().splitlines() if x.startswith("cab-1:"))
        path.write_text(path.read_text().rstrip("\n") + "\nx:" + line.partition(":")[2] + "\n")
    elif platform.cli.env["MOORING_AUTH_MODE"] == "plugin":
        with sqlite3.connect(platform.data_dir / "broker" / "accounts.db") as accounts:
            accounts.execute("INSERT INTO account(username, rights) VALUES('x', 1)")
    else:
        service = platform.connect()
        command = {"command": "createClient", "username": "x", "password": "y"}
        service.publish("$CONTROL/dynamic-security/v1", json.dumps({"commands": [command]}))
    said = platform.cli("broker", "sync").stdout
    assert "extra" in said
    assert "Mended." in said
    assert platform.cli("broker", "sync", "--json").json()["differences"] == []


def test_the_start_rebuilds_what_is_lost(platform: Platform, login: Login) -> None:
    platform.stop()
    for path in files(platform):
        path.unlink()
    platform.start()
    assert works(platform, login)


def test_the_comparison_on_a_schedule_notices(tmp_path: Path) -> None:
    env = {"MOORING_AUTH_MODE": "password_file", "MOORING_BROKER_COMPARE_SECONDS": "1"}
    with running_platform(tmp_path / "data", env=env) as platform:
        login = platform.add("cab-1", "drivesafe")
        path = platform.data_dir / "broker" / "passwd"
        path.write_text("")
        wait_until(lambda: f"{login.username}:$7$" in path.read_text(), "the line", timeout=60)
        assert works(platform, login)
