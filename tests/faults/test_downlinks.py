"""Commands to the topic of a group while the worker that sends them is killed: what was accepted
arrives, and what was rejected does not. Commands to one device: ``test_commands.py``."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until


def token(platform: Platform) -> dict[str, str]:
    who = {"name": "admin", "password": platform.password_of_admin()}
    answer = httpx.post(f"{url(platform)}/api/v1/login", json=who)
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def url(platform: Platform) -> str:
    return f"http://127.0.0.1:{platform.ports['http_port']}"


def kill_worker(platform: Platform) -> None:
    """As ``kill -9``, and returns when another one has taken its place."""
    before = platform.pid("worker")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.pid("worker") != before, "another worker", timeout=40)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "kills", [pytest.param(2, id="short"), pytest.param(15, id="long", marks=pytest.mark.soak)]
)
def test_a_killed_worker_neither_loses_nor_invents_a_command(tmp_path: Path, kills: int) -> None:
    with running_platform(tmp_path / "data") as platform:
        login = platform.add("lamp", "iotflow", "--group", "g")
        device = platform.connect(login, clean=False)
        device.subscribe(login.topics["fleet_command"], qos=1)
        answers: dict[str, tuple[int, str]] = {}
        done = threading.Event()

        def send() -> None:
            headers = token(platform)
            with httpx.Client(base_url=url(platform), headers=headers, timeout=60) as client:
                number = 0
                while not done.is_set():
                    number += 1
                    name = f"c{number}"
                    sent = {"command": "blink", "command_id": name, "broadcast": True}
                    answer = client.post("/api/v1/mqtt/fleet/g/command", json=sent)
                    answers[name] = (answer.status_code, answer.json().get("code", ""))

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for kill in range(kills):
                at_least = len(answers) + 5
                wait_until(lambda n=at_least: len(answers) >= n, "commands", timeout=60)
                time.sleep(0.01 * (kill % 7))  # anywhere in a step
                kill_worker(platform)
            at_least = len(answers) + 5
            wait_until(lambda: len(answers) >= at_least, "commands", timeout=60)
        finally:
            done.set()
            sender.join(90)

        def open_ones() -> int:
            return int(
                platform.rows("SELECT count(*) FROM downlinks WHERE finished_at IS NULL")[0][0]
            )

        wait_until(lambda: open_ones() == 0, "the end of every downlink", timeout=40)
        arrived: Counter[str] = Counter()
        last = time.monotonic()
        while time.monotonic() - last < 1:
            for message in device.waiting():
                arrived[json.loads(message.payload)["command_id"]] += 1
                last = time.monotonic()
            time.sleep(0.05)
        accepted = {name for name, (status, _) in answers.items() if status == 202}
        withdrawn = {name for name, (_, code) in answers.items() if code == "broker_unavailable"}
        assert accepted - arrived.keys() == set(), "accepted, and lost"
        assert withdrawn & arrived.keys() == set(), "rejected, and sent all the same"
        assert {status for status, _ in answers.values()} <= {202, 503}
        assert max(arrived.values()) <= 1 + kills
        payloads = platform.rows("SELECT count(*) FROM downlinks WHERE payload IS NOT NULL")
        assert payloads == [(0,)]
