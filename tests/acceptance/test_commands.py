"""Commands through a real Mosquitto: the SDK, boards that never answer, boards that sleep."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring_device import Backoff, Device, Options
from tests.support.page_commands import Block, Shell, blocks
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "send-commands.md").read_text()
QUICK = Options(backoff=Backoff(floor=0.1, first=0.4, cap=1.0))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {"MOORING_COMMAND_UNCONFIRMED_SECONDS": "1", "MOORING_AUTH_MODE": "plugin"}
    with running_platform(tmp_path_factory.mktemp("commands") / "data", env=env) as running:
        yield running


@pytest.fixture(scope="module")
def admin(platform: Platform) -> Iterator[httpx.Client]:
    key = platform.cli("key", "new", "commands", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{platform.ports['http_port']}"
    with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=30) as client:
        yield client


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as one:
        yield one


def add(admin: httpx.Client, name: str, dialect: str, **more: str) -> dict[str, Any]:
    answer = admin.post("/api/v1/devices", json={"name": name, "dialect": dialect, **more})
    assert answer.status_code in (201, 202), answer.text
    found: dict[str, Any] = answer.json()
    return found


def send(admin: httpx.Client, device: str, name: str, **more: Any) -> int:
    answer = admin.post(f"/api/v1/devices/{device}/commands", json={"name": name} | more)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["number"])


def shown(admin: httpx.Client, number: int) -> dict[str, Any]:
    found: dict[str, Any] = admin.get(f"/api/v1/commands/{number}").json()
    return found


def becomes(admin: httpx.Client, number: int, state: str) -> dict[str, Any]:
    wait_until(lambda: shown(admin, number)["state"] == state, f"command {number} to be {state}")
    return shown(admin, number)


def test_the_sdk_answers_and_is_known_to_recognise_repeats(
    platform: Platform, admin: httpx.Client, tmp_path: Path, stack: ExitStack
) -> None:
    answer = add(admin, "sdk", "mooring")
    early = send(admin, "sdk", "blink", parameters={"times": 2})
    assert shown(admin, early)["state"] == "queued"
    calls: list[Any] = []
    device = Device(answer, store=tmp_path / "store", options=QUICK)

    def blink(args: Any) -> dict[str, Any]:
        time.sleep(0.5)  # an answer may overtake the note that the command was sent
        calls.append(args)
        return {"did": args["times"]}

    device.command("blink")(blink)
    device.command("break")(lambda: 1 / 0)
    stack.enter_context(device)
    done = becomes(admin, early, "done")
    assert (calls, done["result"]) == ([{"times": 2}], {"did": 2})
    assert "session" in done["evidence"][1]["detail"], "the plugin knew that the device listened"
    failed = becomes(admin, send(admin, "sdk", "break"), "failed")
    assert "ZeroDivisionError" in failed["evidence"][-1]["detail"]
    assert becomes(admin, send(admin, "sdk", "unknown"), "rejected")["result"] is None
    wait_until(
        lambda: (
            shown(admin, send(admin, "sdk", "blink", parameters={"times": 1}))["delivery"]
            == "at_least_once"
        ),
        "the device to be known as the SDK",
    )


def test_a_board_that_never_answers(
    platform: Platform, admin: httpx.Client, stack: ExitStack
) -> None:
    """256 bytes, no replies, clean session: sent, then unconfirmed; too large is rejected."""
    login = Login.of(add(admin, "plug", "smarthome"))
    board = platform.connect(login)
    number = send(admin, "plug", "SET_POWER", parameters={"power": False})
    assert shown(admin, number)["state"] == "queued", "connected is not subscribed"
    board.subscribe(login.topics["command"])
    (message,) = board.collect()
    body = json.loads(message.payload)
    assert len(message.topic) + len(message.payload) + 7 <= 256
    assert (body["type"], body["payload"], body["source"]) == (
        "SET_POWER",
        {"power": False},
        "USER",
    )
    assert not message.retain
    assert becomes(admin, number, "unconfirmed")["evidence"][-1]["kind"] == "clock"
    answer = admin.post(
        "/api/v1/devices/plug/commands", json={"name": "TEXT", "parameters": {"t": "x" * 250}}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "packet_too_large")
    assert "256" in answer.json()["detail"]


def test_a_board_that_sleeps_gets_it_while_it_is_awake(
    platform: Platform, admin: httpx.Client
) -> None:
    login = Login.of(add(admin, "sleeper", "iotflow"))
    first = platform.connect(login)
    first.subscribe(login.topics["command"], qos=2)
    first.disconnect()
    number = send(admin, "sleeper", "wake")
    platform.cli("device", "command", "sleeper", "second", "x=1")
    late = platform.connect(login)  # a clean session: what came before is gone with it
    assert late.waiting() == []
    late.subscribe(login.topics["command"], qos=2)
    names = [json.loads(one.payload)["command"] for one in late.collect(2)]
    assert names == ["wake", "second"]
    becomes(admin, number, "unconfirmed")


def test_a_watcher_of_everything_is_nobody(platform: Platform, admin: httpx.Client) -> None:
    login = Login.of(add(admin, "away", "iotflow"))
    watcher = platform.connect()  # the platform's own account may read everything
    watcher.subscribe("iotflow/#")
    number = send(admin, "away", "open")
    other = Login.of(add(admin, "here", "iotflow"))
    there = platform.connect(other)
    there.subscribe(other.topics["command"], qos=2)
    sent = send(admin, "here", "open")
    there.collect()
    becomes(admin, sent, "unconfirmed")
    assert shown(admin, number)["state"] == "queued"
    assert {one.topic for one in watcher.waiting()} == {other.topics["command"]}
    cancelled = platform.cli("command", "cancel", str(number), "--json").json()
    assert (cancelled["state"], login.device) == ("cancelled", cancelled["device"])


def test_the_page_followed(platform: Platform, admin: httpx.Client, tmp_path: Path) -> None:
    """docs/how-to/send-commands.md; a device answers, as the page assumes from "Only now" on."""
    shell = Shell(platform, tmp_path / "clone")
    start, send_one, cancel, only_now, wait = blocks(PAGE)
    printed = shell.run(start)
    # Other tests of this platform have sent commands, too.
    promise = send_one.promise.replace("Command 1 ", "Command … ").replace("show 1`", "show …`")
    shell.run(Block(send_one.commands, promise))
    (number,) = (
        one["number"] for one in admin.get("/api/v1/devices/lamp/commands").json()["items"]
    )
    shell.run(Block(cancel.commands.replace("cancel 1", f"cancel {number}"), cancel.promise))
    secret = re.search(r"^ *password +(\S+)$", printed, re.MULTILINE)
    assert secret, printed
    lamp = platform.connect(Login("lamp", "default", "default/lamp", secret[1], "default:lamp", {}))
    lamp.subscribe("mooring/default/lamp/command/+")

    def answers() -> None:
        for message in lamp.collect(2, timeout=60):
            uid = json.loads(message.payload)["id"]
            lamp.publish("mooring/default/lamp/reply", json.dumps({"id": uid, "ok": True}))

    board = threading.Thread(target=answers)
    board.start()
    connected = (
        "SELECT s.connected FROM device_state s JOIN devices d ON d.id = s.device_id"
        " WHERE d.name = 'lamp'"
    )
    wait_until(
        lambda: (found := platform.rows(connected)) and found[0][0], "the lamp to be connected"
    )
    shell.run(only_now)
    assert "done" in shell.run(wait)
    board.join(60)
    assert [
        (one["name"], one["state"])
        for one in admin.get("/api/v1/devices/lamp/commands").json()["items"]
    ] == [("restart", "done"), ("open", "done"), ("restart", "cancelled")]


def test_waiting_on_the_command_line(
    platform: Platform, admin: httpx.Client, tmp_path: Path, stack: ExitStack
) -> None:
    device = Device(add(admin, "cli", "mooring"), store=tmp_path / "store", options=QUICK)
    device.command("add")(lambda args: {"sum": args["a"] + args["b"]})
    stack.enter_context(device)
    done = platform.cli("device", "command", "cli", "add", "a=1", "b=2", "--wait", "--json")
    assert (done.json()["state"], done.json()["result"]) == ("done", {"sum": 3})
    platform.cli("device", "command", "cli", "add", "--wait", expect=1)  # it needs parameters
    mute = Login.of(add(admin, "mute", "iotflow"))
    platform.connect(mute).subscribe(mute.topics["command"])
    found = platform.cli("device", "command", "mute", "x", "--wait")
    assert "no answer" in found.stdout
    platform.cli("device", "command", "nobody", "x", expect=3)
    listed = platform.cli("command", "list", "--state", "done", "--json").json()["commands"]
    assert "add" in {one["name"] for one in listed}
    text = platform.cli("command", "show", str(done.json()["number"])).stdout
    assert "packet" in text
    assert "reply" in text


def test_commands_from_many_people_at_once(
    platform: Platform, admin: httpx.Client, tmp_path: Path, stack: ExitStack
) -> None:
    """Each is carried out once, and no more than ten are under way."""
    device = Device(add(admin, "busy", "mooring"), store=tmp_path / "store", options=QUICK)
    calls: list[int] = []
    device.command("count")(lambda args: calls.append(args["n"]))
    numbers: list[int] = []

    def person(first: int) -> None:
        every = range(first, 80, 4)
        numbers.extend(send(admin, "busy", "count", parameters={"n": n}) for n in every)

    people = [threading.Thread(target=person, args=(first,)) for first in range(4)]
    for one in people:
        one.start()
    for one in people:
        one.join()
    stack.enter_context(device)
    wait_until(lambda: len(calls) >= 80, "every command to be carried out")
    wait_until(
        lambda: all(shown(admin, number)["state"] == "done" for number in numbers),
        "every answer to count",
    )
    assert sorted(calls) == list(range(80))
