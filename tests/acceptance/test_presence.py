"""Presence on a running platform: devices with Last Wills, and restarts of everything."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.fleet import add_fleet
from tests.support.platform import Login, Platform, running_platform
from tests.support.postgres import Postgres
from tests.support.raw_mqtt import RawClient, packet, publish_packet
from tests.support.waiting import wait_until

GRACE = {"MOORING_PRESENCE_GRACE_SECONDS": "15"}
DISCONNECT = packet(0xE0, b"")


@pytest.fixture(
    params=[
        ("sqlite", 100),
        pytest.param(("sqlite", 1_000), marks=[pytest.mark.soak]),
        pytest.param(("postgresql", 1_000), marks=[pytest.mark.soak]),
    ],
    ids=lambda given: f"{given[0]}-{given[1]}",
)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Platform, int]]:
    """A platform, and how many devices it has."""
    engine, size = request.param
    with ExitStack() as stack:
        env = dict(GRACE)
        if engine == "postgresql":
            env["MOORING_DATABASE_URL"] = stack.enter_context(Postgres()).create_database()
        yield stack.enter_context(running_platform(tmp_path / "data", env=env)), size


def connect(platform: Platform, fleet: Sequence[Login]) -> list[RawClient]:
    """Real connections, one socket each. Without a keepalive they need nothing more."""
    clients = []
    for login in fleet:
        topic = login.topics["status"]
        client = RawClient(platform.ports["mqtt_port"])
        code = client.connect(
            *(login.client_id, login.username, login.password),
            keep_alive=0,
            will=(topic, b'{"online":false}'),
        )
        assert code == 0, login.device
        client.send(publish_packet(topic, b'{"online":true}', qos=0, retain=True))
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


@pytest.mark.timeout(300)
def test_no_restart_makes_a_false_offline(stand: tuple[Platform, int]) -> None:
    """The broker sends every Last Will when it stops, and stores nothing about it when it is
    killed."""
    platform, size = stand
    fleet = add_fleet(platform, size, dialect="pulse")
    *returning, gone = fleet
    first = connect(platform, fleet)
    online = {login.device: "online" for login in fleet}
    wait_until(lambda: states(platform) == online, "all devices to be online", timeout=60)
    # Killed: the broker ends without a word.
    broker = platform.data_dir / "broker" / "mosquitto.pid"
    pid = int(broker.read_text())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: listens(platform, broker, pid), "a new broker", timeout=60)
    second = connect(platform, fleet)
    # Stopped, with all devices connected: each Last Will is sent and stored.
    assert platform.up is not None
    platform.up.end(signal.SIGTERM, timeout=40)
    platform.start()
    third = connect(platform, returning)
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
    third[-1].send(DISCONNECT)
    third[-1].drop()
    name = returning[-1].device
    wait_until(lambda: states(platform)[name] == "offline", "the end of a session to count")
    shown = platform.cli("device", "presence", name).stdout
    assert "not connected" in shown
    for client in (*first, *second, *third):
        client.drop()
