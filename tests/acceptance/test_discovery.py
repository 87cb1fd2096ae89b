"""Unknown devices through a real broker: the how-to page, followed step by step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.mqtt import MqttClient
from tests.support.page_commands import Block, Shell, blocks
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "discover-devices.md").read_text()


@pytest.fixture(params=["sqlite", "postgresql"])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    env = {}
    if request.param == "postgresql":
        env["MOORING_DATABASE_URL"] = request.getfixturevalue("database_url")
    with running_platform(tmp_path / "data", env=env) as running:
        yield running


class Newcomer:
    """A device that knows the login of newcomers, and later its own."""

    def __init__(self, platform: Platform, login: Login) -> None:
        self.platform = platform
        self.client = platform.connect(login)

    def registers(self, name: str, about: str = "{}") -> str:
        """The state that the platform answers."""
        answer = f"iotflow/discovery/response/{name}"
        self.client.subscribe(answer)
        self.client.publish(f"iotflow/discovery/register/{name}", about)
        message = self.client.collect()[0]
        assert (message.topic, message.retain) == (answer, False)
        said = json.loads(message.payload)
        assert set(said) == {"device_id", "status", "timestamp"}
        return str(said["status"])

    def hears(self) -> str:
        return str(json.loads(self.client.collect()[0].payload)["status"])


def claim(platform: Platform, code: str, hardware: str) -> httpx.Response:
    return httpx.post(
        f"http://127.0.0.1:{platform.ports['http_port']}/api/v1/claims",
        json={"code": code, "hardware_id": hardware},
        timeout=30,
    )


def test_the_page(platform: Platform, tmp_path: Path) -> None:
    shell = Shell(platform, tmp_path / "place", keep=("MOORING_DATABASE_URL",))
    steps = blocks(PAGE)
    assert len(steps) == 6
    create, look, accept, refuse, rule, rules = steps
    password = shell.run(create)
    found = re.search(r"assword\W+(\S+)", password)
    assert found, password
    wait_until(lambda: not platform.waiting(), "the broker to accept the newcomers")
    login = Login("", "default", "newcomers", found[1], "newcomer-1", {})
    newcomer = Newcomer(platform, login)

    example = re.search(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert example is not None
    assert newcomer.registers("boiler-9", example[1]) == "pending"
    shell.run(look)
    shown = platform.cli("discovery", "show", "boiler-9", "--json").json()
    assert (shown["state"], shown["about"]["device_type"]) == ("pending", "boiler")

    accepted = shell.run(accept)
    assert newcomer.hears() == "accepted"
    newcomer.client.unsubscribe("iotflow/discovery/response/boiler-9")
    code = re.search(r"Claim code: (\S+)", accepted)
    assert code is not None
    answer = claim(platform, code[1], "serial-77")
    assert answer.is_success, answer.text
    own = Login.of({"client_id": "boiler-9", **answer.json()})
    device = platform.connect(own)
    device.subscribe("iotflow/discovery/response/boiler-9")
    device.publish(own.topics["register"], example[1])
    assert json.loads(device.collect()[0].payload)["status"] == "registered"
    device.publish(own.topics["telemetry"], '{"temperature": 20}')
    wait_until(lambda: platform.stored(own) > 0, "what the device sends to be stored")
    wait_until(lambda: listed(platform) == {}, "the device to leave the list")

    assert newcomer.registers("boiler-8") == "pending"
    shell.run(_of(refuse, "boiler-9", "boiler-8"))
    assert newcomer.hears() == "refused"
    assert newcomer.registers("boiler-8") == "refused"
    assert listed(platform) == {"boiler-8": "refused"}

    fleet = re.search(r"Fleet code: (\S+)", shell.run(rule))
    assert fleet is not None
    shell.run(rules)
    assert newcomer.registers("sensor-7") == "accepted"
    assert newcomer.registers("sensor-91") == "refused"
    answer = claim(platform, fleet[1], "sensor-7")
    assert answer.is_success, answer.text
    MqttClient(
        platform.ports["mqtt_port"],
        client_id=answer.json()["client_id"],
        username=answer.json()["username"],
        password=answer.json()["password"],
    ).connect()
    for hardware in ("sensor-91", "boiler-9"):
        assert claim(platform, fleet[1], hardware).status_code == 404, hardware


def listed(platform: Platform) -> dict[str, str]:
    found = platform.cli("discovery", "list", "--json").json()["unknown"]
    return {one["name"]: one["state"] for one in found}


def _of(block: Block, old: str, new: str) -> Block:
    """The same step for another device."""
    return Block(block.commands.replace(old, new), block.promise.replace(old, new))
