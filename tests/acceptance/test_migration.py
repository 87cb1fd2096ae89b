"""A fleet under load moves to the other authority and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet import add_fleet
from tests.support.load import Publisher
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

MODES = ("password_file", "dynamic_security", "plugin")

pytestmark = pytest.mark.timeout(400)  # it starts the platform's programs many times over


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with running_platform(tmp_path / "data") as running:
        yield running


@pytest.mark.parametrize("devices", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_there_and_back_under_load(platform: Platform, devices: int) -> None:
    fleet = add_fleet(platform, devices)
    port = platform.ports["mqtt_port"]
    load = [Publisher(login, port, rate=5.0).start() for login in fleet]
    try:
        for step, mode in enumerate(MODES, 1):
            wait_until(
                lambda step=step: all(p.connects >= step for p in load),  # type: ignore[misc]
                "every device to be connected",
                timeout=60,
            )
            done = platform.cli(
                *("broker", "migrate", "--to", mode, "--yes", "--json"), timeout=300
            ).json()
            assert done["problems"] == {}
            assert done["accounts"] == devices
            assert done["differences"] == []
            assert f'auth_mode = "{mode}"' in (platform.data_dir / "mooring.toml").read_text()
            wait_until(
                lambda step=step: all(p.connects >= step + 1 for p in load),  # type: ignore[misc]
                "every device to be back",
                timeout=60,
            )
    finally:
        acknowledged = [publisher.finish() for publisher in load]
    for login, numbers, publisher in zip(fleet, acknowledged, load, strict=True):
        wait_until(
            lambda login=login, numbers=numbers: numbers <= stored(platform, login),  # type: ignore[misc]
            f"every acknowledged message of {login.device}",
            timeout=60,
        )
        # Once away for each restart, and never told that it is not known.
        assert publisher.refusals == 0
        assert publisher.connects == len(MODES) + 1
    restarts = platform.rows("SELECT count(*) FROM broker_events WHERE event = 'running'")[0][0]
    told = sum(map(len, acknowledged))
    print(f"{devices} devices, {restarts} broker starts, {told} acknowledged messages, 0 missing")


def stored(platform: Platform, login: Login) -> set[int]:
    rows = platform.rows(
        "SELECT json_extract(payload, '$.n') FROM messages WHERE device_id ="
        " (SELECT id FROM devices WHERE username = ?)",
        login.username,
    )
    return {row[0] for row in rows}


def test_rights_stay_what_they_were(platform: Platform) -> None:
    mine, other = platform.add("cab-1", "drivesafe"), platform.add("cab-2", "drivesafe")
    bridge = platform.cli(
        *("broker", "users", "create", "bridge", "--read", "#", "--write", "plant/+/set", "--json")
    ).json()
    for mode in MODES:
        platform.cli("broker", "migrate", "--to", mode, "--yes", timeout=120)
        client = platform.connect(mine)
        client.publish(mine.topics["telemetry"], '{"value":1}')
        listener = platform.connect(
            mine, client_id="bridge", username="bridge", password=bridge["password"]
        )
        listener.subscribe("#")
        client.publish(other.topics["telemetry"], '{"value":2}')  # acknowledged and dropped
        client.publish(mine.topics["telemetry"], '{"value":3}')
        assert [m.topic for m in listener.collect(1)] == [mine.topics["telemetry"]]
        assert {m.topic for m in listener.waiting()} <= {mine.topics["telemetry"]}
        client.disconnect()
        listener.disconnect()


def test_a_name_the_password_file_cannot_hold_stops_it(platform: Platform) -> None:
    login = platform.add("pump-1", "pulse", "--tenant", "acme")
    said = platform.cli(
        "broker", "migrate", "--to", "password_file", "--yes", "--json", expect=4
    ).stderr
    assert "migration_impossible" in said
    assert "device:acme:pump-1" in said
    platform.connect(login).publish(login.topics["telemetry"], '{"value":1}')
    assert not (platform.data_dir / "mooring.toml").exists()


def test_a_rehearsal_changes_nothing(platform: Platform) -> None:
    login = platform.add("cab-1", "drivesafe")
    client = platform.connect(login)
    for mode in MODES:
        proof = platform.cli(
            "broker", "migrate", "--to", mode, "--rehearse-only", "--json", timeout=120
        ).json()
        assert proof["accounts"] == 1
        assert proof["problems"] == {}
        assert proof["publishes"] > 0
    assert client.connected
    assert not list((platform.data_dir / "broker").glob("rehearsal-*"))
