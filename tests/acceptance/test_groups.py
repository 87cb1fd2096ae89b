"""Groups through the whole platform: the how-to page, and changes in bulk next to open sessions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fleet import add_fleet
from tests.support.page_commands import Shell, blocks
from tests.support.platform import Login, Platform, running_platform
from tests.support.raw_mqtt import RawClient
from tests.support.source import ROOT
from tests.support.waiting import wait_until
from tests.unit.pki.making import serial

PAGE = (ROOT / "docs" / "how-to" / "group-devices.md").read_text(encoding="utf-8")
PINGREQ, PINGRESP = b"\xc0\x00", 0xD0


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Platform]:
    """A platform without other devices: other pages name theirs alike."""
    with running_platform(tmp_path / "alone") as one:
        yield one


def test_the_page_is_followed(alone: Platform, tmp_path: Path) -> None:
    platform = alone
    shell = Shell(platform, tmp_path / "clone")
    (shell.place / "devices.csv").write_text("name\npump-2\nlamp-1\n")
    printed = []
    for block in blocks(PAGE):
        if "create wrong" not in block.commands:
            printed.append(shell.run(block))
            continue
        said = platform.cli(
            "group", "create", "wrong", "--query", "type = pump tag = cellar", expect=2
        )
        assert block.promise.strip() in said.stdout + said.stderr
    text = "".join(printed)
    assert "pump-1" in text
    assert "taken out of heating, which is removed" in text
    assert platform.cli("group", "list", "--json").json()["groups"] == []
    assert platform.rows("SELECT count(*) FROM devices WHERE name LIKE 'pump-_'") == [(2,)]


@pytest.fixture(params=["plugin", "dynamic_security"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    with running_platform(tmp_path / "data", env={"MOORING_AUTH_MODE": request.param}) as one:
        yield one


@pytest.fixture
def http(running: Platform) -> Iterator[httpx.Client]:
    key = running.cli("key", "new", "groups", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{running.ports['http_port']}/api/v1/"
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60
    ) as client:
        yield client


@contextlib.contextmanager
def connected(platform: Platform, logins: Sequence[Login]) -> Iterator[list[RawClient]]:
    with contextlib.ExitStack() as stack:
        clients = []
        for login in logins:
            client = stack.enter_context(RawClient(platform.ports["mqtt_port"]))
            client.connect(login.client_id, login.username, login.password, keep_alive=600)
            assert client.code == 0
            clients.append(client)
        yield clients


def alive(client: RawClient) -> bool:
    """Whether the session is still open: it was not ended since it began."""
    try:
        client.send(PINGREQ)
        answer = client.receive()
    except OSError:
        return False
    return answer is not None and answer[0] == PINGRESP


def ok(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("running", ["plugin", "dynamic_security", "password_file"], indirect=True)
@pytest.mark.parametrize(
    "count", [60, pytest.param(1_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])]
)
def test_changes_in_bulk_disconnect_nobody(
    running: Platform, http: httpx.Client, count: int
) -> None:
    logins = add_fleet(running, count)
    wait_until(lambda: not running.waiting(), "the broker to accept them", timeout=120)

    def tag(login: Login) -> None:
        path = f"devices/{login.device}/attributes"
        ok(http.patch(path, json={"type": "bus", "tags": ["blue", f"line-{len(login.device)}"]}))

    with connected(running, logins) as clients:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(tag, logins))
        query = {"name": "buses", "query": "type = bus and tag = blue"}
        assert ok(http.post("groups", json=query))["devices"] == count
        ok(http.patch("groups/buses", json={"query": "tag = red or type = bus", "priority": 3}))
        ok(http.post("groups", json={"name": "static"}))
        for path, devices in (("members", count), ("members/remove", count), ("members", count)):
            done = ok(http.post(f"groups/static/{path}", json={"where": "type = bus"}))
            assert (done["devices"], done["rights_changed"]) == (devices, 0)
        assert ok(http.delete("groups/static"))["sessions_ended"] == 0
        ok(http.delete("groups/buses"))
        assert not running.waiting()
        assert sum(map(alive, clients)) == count


def test_members_get_the_group_s_topics(running: Platform, http: httpx.Client) -> None:
    """Where a dialect's topics name groups; what is said before is what happens."""
    logins = [running.add(name, "iotflow") for name in ("flow-1", "flow-2")]
    wait_until(lambda: not running.waiting(), "the broker to accept them")
    topic = "iotflow/fleet/commands/heat"
    ok(http.post("groups", json={"name": "heat"}))

    def may(name: str) -> bool:
        asked = {"action": "subscribe", "topic": topic}
        return bool(ok(http.get(f"devices/{name}/can", params=asked))["allowed"])

    with connected(running, logins) as clients:
        wait_until(
            lambda: running.rows("SELECT count(*) FROM device_state WHERE connected") == [(2,)],
            "the platform to know that they are connected",
        )
        assert (may("flow-1"), may("flow-2")) == (False, False)
        members = {"devices": ["flow-1"]}
        planned = ok(http.post("groups/heat/members?dry_run=true", json=members))
        ended = 1 if running.cli.env["MOORING_AUTH_MODE"] == "dynamic_security" else 0
        assert (planned["rights_changed"], planned["sessions_ended"]) == (1, ended)
        done = ok(http.post("groups/heat/members", json=members))
        assert done["sessions_ended"] == ended
        wait_until(lambda: not running.waiting(), "the broker to apply it")
        stays, other = [alive(client) for client in clients]
        assert other
        assert stays or ended  # Mosquitto 2.0 ends nobody's session because of other rights
        assert (may("flow-1"), may("flow-2")) == (True, False)
    with running.connect(logins[0]) as client:
        client.subscribe(topic)


def test_a_broadcast_is_one_message_on_the_topic_of_the_group(platform: Platform) -> None:
    group = f"hall-{serial()}"
    one, two = (platform.add(f"fan-{serial()}", "iotflow", "--group", group) for _ in range(2))
    without = platform.add(f"lamp-{serial()}", "mooring", "--group", group)
    topic = next(t for t in one.topics.values() if group in t and "command" in t)
    with platform.connect(one) as first, platform.connect(two) as second:
        for client in (first, second):
            client.subscribe(topic)
        sent = platform.cli(
            *("command", "send", "restart", "delay=5", "--group", group, "--broadcast", "--json")
        ).json()
        assert (sent["topics"], sent["left_out"]) == ([topic], 1)
        for client in (first, second):
            (message,) = client.collect()
            assert (message.topic, message.retain) == (topic, False)
            assert "restart" in message.payload.decode()
    tracked = platform.rows(
        "SELECT count(*) FROM commands c JOIN devices d ON d.id = c.device_id WHERE d.name = ?",
        one.device,
    )
    assert tracked == [(0,)]
    alone = f"alone-{serial()}"
    platform.cli("group", "create", alone)
    platform.cli("group", "add", alone, without.device)
    refused = platform.cli(
        *("command", "send", "restart", "--group", alone, "--broadcast", "--json"), expect=4
    )
    assert '"no_group_topic"' in refused.stderr
    refused = platform.cli("command", "send", "restart", "--all", "--broadcast", expect=2)
    assert "--group" in refused.stderr
