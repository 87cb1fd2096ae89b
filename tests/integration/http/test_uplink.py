"""Readings over HTTP: who may send them. (What becomes of them: the SDK's acceptance tests.)"""

from __future__ import annotations

import httpx
import pytest

from mooring.app import App
from mooring.devices.model import Credentials, NewDevice
from mooring.identity.account import Quota
from mooring.identity.actor import SYSTEM

READING = {"device_id": "d", "timestamp": "2026-03-01T12:00:00Z", "sensors": {"temperature": 21.5}}


@pytest.fixture(params=["pulse", "mousetrap", "mooring"])
def made(request: pytest.FixtureRequest, platform: App) -> Credentials:
    """Usernames with two colons, with five, and with none."""
    new = NewDevice("pump", dialect=request.param, tenant="acme", mac="24:6F:28:AE:C1:77")
    return platform.devices.add(SYSTEM, new)[0]


def send(client: httpx.Client, device: str, username: str, password: str) -> httpx.Response:
    address = f"/api/v1/devices/{device}/telemetry"
    return client.post(address + "?channel=status", json=READING, auth=(username, password))


def code(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


def test_every_dialects_username_logs_in(made: Credentials, nobody: httpx.Client) -> None:
    """It gets as far as the broker, of which there is none here."""
    answer = send(nobody, "pump", made.device.username, made.password)
    assert (answer.status_code, code(answer)) == (503, "broker_unavailable"), answer.text


def test_a_wrong_password_and_a_wrong_name_look_the_same(
    made: Credentials, nobody: httpx.Client
) -> None:
    wrong = send(nobody, "pump", made.device.username, "wrong")
    unknown = send(nobody, "pump", "device:acme:nobody", made.password)
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text == unknown.text
    assert code(wrong) == "device_login_refused"


def test_only_its_own(made: Credentials, platform: App, nobody: httpx.Client) -> None:
    platform.devices.add(SYSTEM, NewDevice("other", dialect="mooring", tenant="acme"))
    answer = send(nobody, "other", made.device.username, made.password)
    assert (answer.status_code, code(answer)) == (403, "another_device")


def test_a_device_asks_for_its_own_channels(
    made: Credentials, platform: App, nobody: httpx.Client
) -> None:
    """They change with its groups."""
    platform.devices.add(
        SYSTEM, NewDevice("boiler", dialect="iotflow", groups=("attic",)), password="boiler's own"
    )

    def ask(name: str, username: str, password: str) -> httpx.Response:
        return nobody.get(f"/api/v1/devices/{name}/shape", auth=(username, password))

    answer = ask("boiler", "boiler", "boiler's own")
    assert answer.status_code == 200
    fleet = next(c for c in answer.json()["shape"]["channels"] if c["name"] == "fleet_command")
    assert fleet["topics"] == ["iotflow/fleet/commands/attic"]
    assert answer.json()["topics"]["fleet_command"] == "iotflow/fleet/commands/attic"
    refused = ask("boiler", made.device.username, made.password)
    assert (refused.status_code, code(refused)) == (403, "another_device")
    wrong = ask("boiler", "boiler", "wrong")
    assert (wrong.status_code, code(wrong)) == (401, "device_login_refused")
    platform.devices.set_enabled(SYSTEM, "boiler", enabled=False)
    assert ask("boiler", "boiler", "boiler's own").status_code == 401


def test_a_disabled_device_sends_nothing(
    made: Credentials, platform: App, nobody: httpx.Client
) -> None:
    platform.devices.set_enabled(SYSTEM, "pump", enabled=False)
    answer = send(nobody, "pump", made.device.username, made.password)
    assert (answer.status_code, code(answer)) == (401, "device_login_refused")


def test_without_a_login(made: Credentials, nobody: httpx.Client) -> None:
    answer = nobody.post("/api/v1/devices/pump/telemetry", json=READING)
    assert (answer.status_code, code(answer)) == (401, "device_login_needed")


def test_wrong_passwords_of_a_device_are_throttled_and_other_devices_are_not(
    made: Credentials, platform: App, nobody: httpx.Client
) -> None:
    other, _ = platform.devices.add(SYSTEM, NewDevice("other", dialect="mooring", tenant="acme"))
    for _ in range(platform.settings.device_login_attempts_per_minute):
        answer = send(nobody, "pump", made.device.username, "wrong")
        assert code(answer) == "device_login_refused"
    answer = send(nobody, "pump", made.device.username, made.password)
    assert (answer.status_code, code(answer)) == (429, "device_login_throttled")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    answer = send(nobody, "other", other.device.username, other.password)
    assert answer.status_code != 429


def test_readings_over_http_have_the_limits_of_the_device_and_its_tenant(
    platform: App, nobody: httpx.Client
) -> None:
    """What may go gets as far as the broker, of which there is none here."""
    made = {
        name: platform.devices.add(SYSTEM, NewDevice(name, dialect="mooring", tenant="acme"))[0]
        for name in ("pump", "valve")
    }
    platform.limits.set_of_device(SYSTEM, "pump", Quota(messages=1))
    platform.limits.set_of_tenant(SYSTEM, "acme", Quota(messages=2))

    def post(name: str, number: int = 1) -> str:
        readings = {"messages": [{"values": {"t": 1}}] * number}
        one = made[name]
        address = f"/api/v1/devices/{name}/telemetry"
        answer = nobody.post(address, json=readings, auth=(one.device.username, one.password))
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) >= 1
        return code(answer)

    def until_limited(name: str) -> list[str]:
        """What is answered up to the first rejection; a slow machine earns more meanwhile."""
        said = []
        while "limit_messages" not in said and len(said) < 200:
            said.append(post(name))
        return said

    assert until_limited("pump")[:10] == ["broker_unavailable"] * 10
    # What was kept while it was offline has an allowance of its own.
    assert post("pump", 1000) == post("pump", 1000) == "broker_unavailable"
    # The tenant has ten messages left of its burst of twenty.
    said = until_limited("valve")
    assert said[:10] == ["broker_unavailable"] * 10
    assert said[-1] == "limit_messages"
    platform.tally.flush(platform.database)
    assert platform.telemetry.overview(SYSTEM).counters["uplink_limited"] >= 2
