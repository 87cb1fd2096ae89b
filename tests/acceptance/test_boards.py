"""Boards with the firmware that fleets have, through commands and settings, at a real broker.

A board with PubSubClient's buffer of 256 bytes drops a larger packet and does not say so. A trap
is awake for seconds. Some boards never answer. Others are a line in a script.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.platform import Login, Platform
from tests.support.raw_mqtt import RawClient, packet, subscribe_packet
from tests.support.waiting import wait_until

BUFFER = 256
DISCONNECT = packet(0xE0, b"")


@pytest.fixture(scope="module")
def http(platform: Platform) -> Iterator[httpx.Client]:
    key = platform.cli("key", "new", "boards", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{platform.ports['http_port']}/api/v1/"
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=30) as client:
        yield client


def add(http: httpx.Client, name: str, dialect: str, **more: str) -> Login:
    answer = http.post("devices", json={"name": name, "dialect": dialect, **more})
    assert answer.status_code in (201, 202), answer.text
    return Login.of(answer.json())


def send(http: httpx.Client, login: Login, name: str, **more: Any) -> int:
    answer = http.post(f"devices/{login.reference}/commands", json={"name": name} | more)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["number"])


def becomes(http: httpx.Client, number: int, state: str) -> dict[str, Any]:
    def shown() -> dict[str, Any]:
        found: dict[str, Any] = http.get(f"commands/{number}").json()
        return found

    wait_until(lambda: shown()["state"] == state, f"command {number} to be {state}")
    return shown()


def change(http: httpx.Client, login: Login, **settings: Any) -> httpx.Response:
    return http.patch(f"devices/{login.reference}/settings", json=settings)


def text(http: httpx.Client, login: Login) -> str:
    return str(http.get(f"devices/{login.reference}/settings").json()["state_text"])


class PubSubBoard:
    """Arduino's PubSubClient: QoS 0 or 1, a clean session, and a buffer of 256 bytes."""

    def __init__(self, platform: Platform, login: Login, *filters: str) -> None:
        self.dropped: list[int] = []
        self.got: list[tuple[str, dict[str, Any]]] = []
        self._client = RawClient(platform.ports["mqtt_port"])
        code = self._client.connect(login.client_id, login.username, login.password)
        assert code == 0, login.device
        self._client.send(subscribe_packet(*filters))
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        try:
            while (received := self._client.receive()) is not None:
                first, body = received
                if first & 0xF0 != 0x30:
                    continue
                size = len(packet(first, body))
                if first & 0x06:
                    number = 2 + int.from_bytes(body[:2], "big")
                    self._client.send(packet(0x40, body[number : number + 2]))
                if size > BUFFER:
                    self.dropped.append(size)
                else:
                    self._call(first, body, size)
        except OSError:
            return  # it was switched off

    def _call(self, first: int, body: bytes, size: int) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        payload = json.loads(body[end + (2 if first & 0x06 else 0) :])
        self.got.append((body[2:end].decode(), payload | {"bytes on the wire": size}))

    def sleep(self) -> None:
        """Says goodbye and switches its radio off."""
        self._client.send(DISCONNECT)
        self._client.drop()
        self._thread.join(10)


def fits(http: httpx.Client, login: Login, path: str, body: Any, longest: int) -> int:
    """The longest text that is accepted, by halving; each of them is sent."""
    low, high = 0, longest
    while low < high:
        middle = (low + high + 1) // 2
        url = f"devices/{login.reference}/{path}"
        answer = http.request("PATCH" if path == "settings" else "POST", url, json=body(middle))
        if answer.is_success:
            low = middle
        else:
            assert answer.status_code == 422, answer.text
            assert answer.json()["code"] == "packet_too_large"
            assert str(BUFFER) in answer.json()["detail"]
            high = middle - 1
    return low


def test_a_board_with_a_small_buffer_is_sent_nothing_that_it_drops(
    platform: Platform, http: httpx.Client
) -> None:
    login = add(http, "small-1", "smarthome", tenant="1")
    board = PubSubBoard(platform, login, login.topics["command"], login.topics["config"])
    longest = fits(
        http,
        login,
        "commands",
        lambda size: {"name": "TEXT", "parameters": {"t": "x" * size}},
        300,
    )
    wide = fits(http, login, "settings", lambda size: {"name": "y" * size}, 300)
    assert longest > 0
    assert wide > 0

    def arrived(kind: str, found: int) -> bool:
        texts = [
            body["payload"]["t"] if kind == "command" else body["config"].get("name", "")
            for topic, body in board.got
            if topic == login.topics[kind]
        ]
        return found in map(len, texts)

    wait_until(lambda: arrived("command", longest), "the longest command")
    wait_until(lambda: arrived("config", wide), "the longest settings")
    sizes = [body["bytes on the wire"] for _, body in board.got]
    assert board.dropped == []
    assert max(sizes) == BUFFER, "the limit is the board's own, to the byte"
    board.sleep()


def test_a_trap_that_is_awake_for_seconds(platform: Platform, http: httpx.Client) -> None:
    mac = "94:A9:90:30:60:CC"
    login = add(http, "94A9903060CC", "mousetrap", tenant="home", mac=mac)
    everything = f"tenant/home/device/{login.client_id}/command/#"
    numbers = [send(http, login, name) for name in ("capture_snapshot", "reboot")]
    trap = PubSubBoard(platform, login, everything)
    wait_until(lambda: len(trap.got) == 2, "both commands while it is awake")
    trap.sleep()
    assert [body["command"] for _, body in trap.got] == ["capture_snapshot", "reboot"]
    assert trap.dropped == []
    later = send(http, login, "reboot")
    again = PubSubBoard(platform, login, everything)
    done = becomes(http, numbers[1], "done")
    assert done["evidence"][-1]["kind"] == "effect", "it has a new session: it has rebooted"
    wait_until(lambda: len(again.got) == 1, "what was sent while it slept, once")
    assert again.got[0][1]["id"] == http.get(f"commands/{later}").json()["id"]
    again.sleep()
    # It has no channel for settings, and says so before anything is stored.
    answer = change(http, login, interval=5)
    assert answer.is_client_error
    assert "settings" in answer.json()["detail"]
    assert http.get(f"devices/{login.reference}/settings").json()["version"] == 0


def test_a_board_that_sleeps_has_its_settings_when_it_wakes(
    platform: Platform, http: httpx.Client
) -> None:
    login = add(http, "sleepy-1", "smarthome", tenant="1")
    for rate in (1, 2, 3):
        assert change(http, login, sampleRate=rate).is_success
    wait_until(lambda: text(http, login) == "sent, not reported", "the broker to have them")
    for _ in range(2):  # it keeps nothing, so it needs them each time
        board = PubSubBoard(platform, login, login.topics["config"])
        wait_until(lambda board=board: board.got, "the settings")  # type: ignore[misc]
        board.sleep()
        assert [body["config"] for _, body in board.got] == [{"sampleRate": 3}]
    assert text(http, login) == "sent, not reported", "nobody can know more"


def test_a_board_that_never_answers_blocks_nothing(platform: Platform, http: httpx.Client) -> None:
    login = add(http, "mute-1", "pulse")
    assert change(http, login, interval=5).is_success
    board = PubSubBoard(platform, login, login.topics["command"], login.topics["config"])
    numbers = [send(http, login, f"c{n}", reply_timeout_seconds=1) for n in range(12)]
    commands = login.topics["command"]

    def names() -> list[str]:
        return [body["command"] for topic, body in board.got if topic == commands]

    wait_until(lambda: len(names()) == 12, "those behind the first ten, after their time-outs")
    assert names() == [f"c{n}" for n in range(12)]
    for number in (numbers[0], numbers[-1]):
        assert becomes(http, number, "timed_out")["evidence"][-1]["kind"] == "clock"
    configs = [body for topic, body in board.got if topic == login.topics["config"]]
    assert [body["config"] for body in configs] == [{"interval": 5}]
    shown = http.get(f"devices/{login.reference}/settings").json()
    assert (shown["state"], shown["reported"]["version"]) == ("sent", None)
    board.sleep()


class Script:
    """What somebody types: mosquitto_sub and mosquitto_pub with a device's login."""

    def __init__(self, platform: Platform, login: Login) -> None:
        self._login = login
        self._where = ["-h", "127.0.0.1", "-p", str(platform.ports["mqtt_port"]), "-q", "1"]
        self._who = ["-u", login.username, "-P", login.password]

    def listen(self, *topics: str, count: int) -> subprocess.Popen[str]:
        filters = [word for topic in topics for word in ("-t", topic)]
        return subprocess.Popen(
            [
                *("mosquitto_sub", *self._where, *self._who, "-i", self._login.client_id),
                *(*filters, "-C", str(count), "-W", "30", "-F", "%t %p"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, topic: str, body: dict[str, Any]) -> None:
        words = ["-i", f"{self._login.client_id}-pub", "-t", topic, "-m", json.dumps(body)]
        subprocess.run(["mosquitto_pub", *self._where, *self._who, *words], check=True, timeout=30)


def test_a_script_is_a_device(platform: Platform, http: httpx.Client) -> None:
    login = add(http, "script-1", "pulse")
    script = Script(platform, login)
    assert change(http, login, interval=5).is_success
    number = send(http, login, "restart", parameters={"delay": 2}, reply_timeout_seconds=60)
    listening = script.listen(login.topics["command"], login.topics["config"], count=2)
    printed, _ = listening.communicate(timeout=60)
    got = dict(line.split(" ", 1) for line in printed.splitlines())
    command = json.loads(got[login.topics["command"]])
    assert (command["command"], command["parameters"]) == ("restart", {"delay": 2})
    config = json.loads(got[login.topics["config"]])
    assert (config["version"], config["config"]) == (1, {"interval": 5})
    script.say(
        login.topics["reply"],
        {"command_id": command["command_id"], "status": "done", "result": {"took_ms": 7}},
    )
    assert becomes(http, number, "done")["result"] == {"took_ms": 7}
    script.say(
        login.topics["config_reported"], {"version": 1, "ok": True, "config": {"interval": 5}}
    )
    wait_until(lambda: text(http, login) == "in sync", "the report")


def test_a_board_that_refuses_its_settings_is_seen(platform: Platform, http: httpx.Client) -> None:
    login = add(http, "stubborn-1", "pulse")
    assert change(http, login, interval=0).is_success
    wait_until(lambda: text(http, login) == "sent, not reported yet", "the broker to have it")
    board = platform.connect(login)
    for number in range(5):
        said = {"version": 1, "ok": False, "error": "0 s is too often", "seq": number}
        board.publish(login.topics["config_reported"], json.dumps(said))
    wait_until(lambda: text(http, login) == "stopped after 5 refusals", "the end of it")
    shown = platform.cli("device", "show", login.reference).stdout
    assert "stopped after 5 refusals: 0 s is too often" in shown
    (line,) = platform.cli("status", "--json").json()["refused_settings"]
    assert login.reference in line
    assert "0 s is too often" in line
    assert change(http, login, interval=60).is_success
    assert platform.cli("status", "--json").json()["refused_settings"] == []
