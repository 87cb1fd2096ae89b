"""The process that serves requests applies its changes itself, and is killed on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.mqtt import Refused
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

INJECT = Path(__file__).parent.parent / "support" / "inject"

MOMENTS = ("committed", "written", "in force")
AFTER_THE_ANSWER = "about to settle"
MORE_MOMENTS = ("about to write", AFTER_THE_ANSWER)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("direct")
    env = {
        "PYTHONPATH": str(INJECT),
        "TEST_KILL_AT": str(folder / "moment"),
        "MOORING_AUTH_MODE": "plugin",
    }
    with running_platform(folder / "data", env=env) as started:
        yield started


@pytest.fixture(scope="module")
def web(platform: Platform) -> Iterator[httpx.Client]:
    key = platform.cli("key", "new", "test", "--role", "operator", "--json").json()["secret"]
    address = f"http://127.0.0.1:{platform.ports['http_port']}"
    with httpx.Client(
        base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ) as client:
        yield client


def added(web: httpx.Client, name: str) -> Login:
    wait_until(lambda: serves(web), "the server")
    answer = web.post("/api/v1/devices", json={"name": name, "dialect": "mooring"}).json()
    assert answer["accepted_by_broker"] is True
    return Login.of(answer)


def serves(web: httpx.Client) -> bool:
    try:
        return web.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_change_is_in_force_when_the_call_returns(platform: Platform, web: httpx.Client) -> None:
    login = added(web, "in-force")
    client = platform.connect(login)
    assert web.post("/api/v1/devices/in-force/disable").json()["applied_by_broker"] is True
    client.wait_for_disconnect()
    with pytest.raises(Refused):
        platform.connect(login)
    assert web.post("/api/v1/devices/in-force/enable").json()["applied_by_broker"] is True
    client = platform.connect(login)
    assert web.delete("/api/v1/devices/in-force").json()["applied_by_broker"] is True
    client.wait_for_disconnect()
    with pytest.raises(Refused):
        platform.connect(login)
    # Nothing was left to another process, and the same name can be used again.
    assert {error for *_, error in platform.waiting()} <= {None}
    again = web.post("/api/v1/devices", json={"name": "in-force", "dialect": "mooring"}).json()
    wait_until(lambda: not platform.waiting(), "the pending changes")
    platform.connect(dataclasses.replace(login, password=again["password"]))


@pytest.mark.parametrize(
    "moment", [*MOMENTS, *(pytest.param(one, marks=pytest.mark.soak) for one in MORE_MOMENTS)]
)
def test_a_change_of_a_killed_process_is_applied_by_another_one(
    platform: Platform, web: httpx.Client, moment: str
) -> None:
    login = added(web, f"killed-{moment}".replace(" ", "-"))
    client = platform.connect(login)
    wait_until(lambda: not platform.waiting(), "everything to be settled")
    named = Path(platform.cli.env["TEST_KILL_AT"])
    named.write_text(moment)
    if moment == AFTER_THE_ANSWER:
        answer = web.post(f"/api/v1/devices/{login.device}/disable")
        assert answer.json()["applied_by_broker"] is True
    else:
        with pytest.raises(httpx.TransportError):
            web.post(f"/api/v1/devices/{login.device}/disable")
    wait_until(lambda: not named.exists(), "the kill")
    client.wait_for_disconnect()
    wait_until(lambda: not platform.waiting(), "the change to be settled")
    with pytest.raises(Refused):
        platform.connect(login)
    (settled,) = platform.rows("SELECT enabled FROM devices WHERE username = ?", login.username)
    assert not settled[0]
