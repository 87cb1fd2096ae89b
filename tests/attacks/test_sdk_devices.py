"""Neighbours, replays and nonsense against a device that runs the SDK."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring_device import Backoff, Device, FirmwarePolicy, Options
from tests.attacks.stand import VICTIM, Attacked
from tests.support.platform import Login
from tests.support.waiting import wait_until

QUICK = Options(backoff=Backoff(floor=0.1, first=0.3, cap=1.0), linger=1.0, running_after=0)
NONSENSE = (
    b"",
    b"\xff\x00",
    b"[" * 100_000,
    b'{"id":"\\ud800","args":{"\\u0000":1},"config":{"a":"\\udfff"},"upto":-1,"missing":[[9,1]]}',
    b'{"id":' + b"9" * 5_000 + b"}",
    b'{"id":"n","args":[NaN],"version":"x","guard_s":"y","secret":[[1]],"upto":1e99}',
    json.dumps({"id": "x" * 10_000, "password": 7, "url": "file:///etc/passwd"}).encode(),
)


class Victim:
    """A device of the SDK with handlers for everything, and what they were called with."""

    def __init__(self, attacked: Attacked, folder: Path) -> None:
        given = {"name": f"sdk-{secrets.token_hex(3)}", "tenant": VICTIM, "dialect": "mooring"}
        with attacked.admin() as admin:
            answer = admin.post("/api/v1/devices", json=given).json()
        wait_until(lambda: not attacked.platform.waiting(), "the broker to accept the device")
        self.login = Login.of(answer)
        self.called: list[Any] = []
        policy = FirmwarePolicy(unsigned=True)
        self.device = Device(answer, store=folder, options=QUICK, policy=policy)
        self.device.command("open")(lambda args: self.called.append(("open", args)))
        self.device.on_config(lambda config: self.called.append(("config", config)))
        self.device.on_firmware(lambda update: self.called.append(("firmware", update.version)))
        self.device.start()
        assert self.device.wait_connected(20), self.device.stats()
        filters = self.device.credentials.channels().filters()
        self.topics = [topic.replace("+", "open") for topic in filters]

    @property
    def opened(self) -> int:
        return sum(what == "open" for what, _ in self.called)

    def obeys(self, attacked: Attacked) -> None:
        """Fails unless a command of the platform is carried out and answered in the session that
        began with the test."""
        before = self.opened
        self.open(attacked)
        assert self.opened == before + 1
        assert self.device.stats()["sessions"] == 1

    def open(self, attacked: Attacked) -> None:
        """A command of the platform, until it is done: the device has had all that was sent
        before."""
        with attacked.admin() as admin:
            sent = admin.post(
                f"/api/v1/devices/{self.login.reference}/commands", json={"name": "open"}
            ).json()
            number = sent["number"]
            wait_until(
                lambda: admin.get(f"/api/v1/commands/{number}").json()["state"] == "done",
                "the command to be done",
            )


@pytest.fixture
def victim(attacked: Attacked, tmp_path: Path) -> Iterator[Victim]:
    one = Victim(attacked, tmp_path)
    yield one
    one.device.close()


def orders() -> str:
    """Something that the device would do, had the platform sent it there."""
    body = {
        "id": secrets.token_hex(4), "args": {"password": "stolen"},
        "version": 9, "config": {"x": 1},
        "url": "http://127.0.0.1:1/x", "sha256": "a" * 64, "size": 1, "upto": 10**9,
        "missing": [[1, 9]],
    }  # fmt: skip
    return json.dumps(body)


@pytest.mark.attack("sends an SDK device commands, settings and receipts as its neighbour")
@pytest.mark.parametrize("tenant", ["attacker", VICTIM])
def test_a_neighbour_sends_it_nothing(attacked: Attacked, victim: Victim, tenant: str) -> None:
    neighbour = attacked.device(tenant)
    client = attacked.client(neighbour)
    base = victim.topics[0].split("/")[:3]
    rotate = "/".join([*base, "command", "rotate_credentials"])
    for topic in (*victim.topics, rotate):
        for retain in (False, True):
            client.publish(topic, orders(), qos=1, retain=retain)
    before = attacked.platform.stored(neighbour)
    client.publish(neighbour.topics["telemetry"], '{"values":{"sent":"last"}}')
    wait_until(lambda: attacked.platform.stored(neighbour) > before, "its own, sent last")
    victim.obeys(attacked)
    assert victim.called == [("open", {})]
    # Nothing was retained for its next session either, and its password is the old one.
    victim.device.close()
    client.publish(rotate, orders(), qos=1, retain=True)
    again = attacked.client(victim.login)
    again.subscribe(*victim.topics, rotate, qos=1)
    attacked.platform.connect().publish(victim.topics[0], "a mark", qos=1)
    assert [one.payload for one in again.collect()] == [b"a mark"]


@pytest.mark.attack("asks for another device's channels")
def test_the_channels_of_another_device_are_not_told(attacked: Attacked, victim: Victim) -> None:
    neighbour = attacked.device(VICTIM)
    path = f"/api/v1/devices/{victim.login.device}/shape"
    with attacked.http() as http:
        refused = http.get(path, auth=(neighbour.username, neighbour.password))
        assert (refused.status_code, refused.json()["code"]) == (403, "another_device")
        assert http.get(path).status_code == 401
        wrong = http.get(path, auth=(victim.login.username, neighbour.password))
        assert wrong.status_code == 401
        own = http.get(path, auth=(victim.login.username, victim.login.password))
        assert own.status_code == 200


@pytest.mark.attack("replays commands, retained and repeated")
def test_a_replayed_command_is_carried_out_once(attacked: Attacked, victim: Victim) -> None:
    """By somebody who may publish, or by a broker that sends twice."""
    hand = attacked.platform.connect()
    topic = next(topic for topic in victim.topics if topic.endswith("/command/open"))
    for _ in range(5):
        hand.publish(topic, '{"id":"c-1","args":{"n":1}}', qos=1)
    hand.publish(topic, '{"id":"c-2","args":{"n":2}}', qos=1)
    wait_until(lambda: ("open", {"n": 2}) in victim.called, "the last one")
    assert victim.called == [("open", {"n": 1}), ("open", {"n": 2})]
    hand.publish(topic, '{"id":"c-3","args":{"n":3}}', qos=1, retain=True)
    wait_until(lambda: ("open", {"n": 3}) in victim.called, "the copy for who listens now")
    victim.device.close()
    try:
        again = Device(
            victim.device.credentials, store=victim.device._vault.path.parent, options=QUICK
        )
        again.command("open")(lambda args: victim.called.append(("again", args)))
        with again:
            assert again.wait_connected(20)
            hand.publish(topic, '{"id":"c-1","args":{"n":1}}', qos=1)
            hand.publish(topic, '{"id":"c-4","args":{"n":4}}', qos=1)
            wait_until(lambda: ("again", {"n": 4}) in victim.called, "the new one")
    finally:
        hand.publish(topic, "", qos=1, retain=True)
    assert [one for one in victim.called if one[0] == "again"] == [("again", {"n": 4})]


@pytest.mark.attack("sends nonsense on every channel of an SDK device")
def test_nonsense_on_every_channel_ends_no_session(attacked: Attacked, victim: Victim) -> None:
    hand = attacked.platform.connect()
    for topic in victim.topics:
        for payload in NONSENSE:
            hand.publish(topic, payload, qos=1)
    victim.open(attacked)  # among the nonsense is what may be taken for a command without an id
    victim.obeys(attacked)
    victim.device.publish({"alive": 1})
    assert victim.device.wait_drained(20), victim.device.stats()
