"""Presence on a running platform: devices with Last Wills, and restarts of everything."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.support.fleet import add_fleet
from tests.support.mqtt import MqttClient
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

FLEET = 24
GRACE = {"MOORING_PRESENCE_GRACE_SECONDS": "15"}


def connect(platform: Platform, fleet: Sequence[Login]) -> list[MqttClient]:
    clients = []
    for login in fleet:
        topic = login.topics["status"]
        # 1.5 times this keepalive is no more than the grace.
        client = platform.connect(login, will=(topic, b'{"online":false}', 1, True), keepalive=10)
        client.publish(topic, '{"online":true}', retain=True)
        clients.append(client)
    return clients


def states(platform: Platform) -> dict[str, str]:
    rows = platform.rows(
        "SELECT d.name, p.state FROM presence p JOIN devices d ON d.id = device_id"
    )
    return {name: state for name, state in rows}  # noqa: C416 - dict() has no types


def listens(platform: Platform, file: Path, former: int) -> bool:
    """Whether another broker than the former one accepts connections."""
    if not file.exists() or int(file.read_text() or former) == former:
        return False
    try:
        socket.create_connection(("127.0.0.1", platform.ports["mqtt_port"]), 1).close()
    except OSError:
        return False
    return True


def were_offline(platform: Platform) -> set[str]:
    rows = platform.rows(
        "SELECT DISTINCT d.name FROM presence_changes c JOIN devices d ON d.id = c.device_id"
        " WHERE c.state = ?",
        "offline",
    )
    return {str(row[0]) for row in rows}


def test_no_restart_makes_a_false_offline(tmp_path: Path) -> None:
    """The broker sends every Last Will when it stops, and stores nothing about it when it is
    killed."""
    with running_platform(tmp_path / "data", env=GRACE) as platform:
        fleet = add_fleet(platform, FLEET, dialect="pulse")
        *returning, gone = fleet
        connect(platform, fleet)
        online = {login.device: "online" for login in fleet}
        wait_until(lambda: states(platform) == online, "all devices to be online")
        # Killed: the broker ends without a word.
        broker = platform.data_dir / "broker" / "mosquitto.pid"
        pid = int(broker.read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: listens(platform, broker, pid), "a new broker")
        connect(platform, fleet)
        # Stopped, with all devices connected: each Last Will is sent and stored.
        assert platform.up is not None
        platform._clients.clear()
        platform.up.end(signal.SIGTERM, timeout=40)
        platform.start()
        connect(platform, returning)
        wait_until(
            lambda: states(platform)[gone.device] == "offline",
            "the missing one to be missed",
            timeout=60,
        )
        assert were_offline(platform) == {gone.device}
        assert {states(platform)[login.device] for login in returning} == {"online"}
        said = platform.cli("device", "presence", gone.device, "--json").json()
        assert said["reason"] == "did not come back after a restart"
        assert [one["state"] for one in said["history"]] == ["offline", "online"]
        # A real end of a session counts, with its reason.
        last = platform._clients[-1]
        last.disconnect()
        name = returning[-1].device
        wait_until(lambda: states(platform)[name] == "offline", "the end of a session to count")
        shown = platform.cli("device", "presence", name).stdout
        assert "not connected" in shown
