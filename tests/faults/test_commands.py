"""Every process killed while a hundred commands wait: each is carried out once, in order."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring_device import Backoff, Device, Options
from tests.support.platform import Platform, running_platform
from tests.support.postgres import Postgres
from tests.support.waiting import wait_until

COMMANDS = 100
QUICK = Options(backoff=Backoff(floor=0.1, first=0.2, cap=0.5))


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.soak])],
)
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    with ExitStack() as stack:
        env = {"MOORING_AUTH_MODE": "plugin"}
        if request.param == "postgresql":
            env["MOORING_DATABASE_URL"] = stack.enter_context(Postgres()).create_database()
        yield stack.enter_context(running_platform(tmp_path / "data", env=env))


def states(platform: Platform) -> dict[str, int]:
    rows = platform.rows("SELECT state, count(*) FROM commands GROUP BY state")
    return {str(state): int(number) for state, number in rows}


def kill(platform: Platform, role: str) -> None:
    """As ``kill -9``; returns when another one has taken its place."""
    if role == "broker":
        pid_file = platform.data_dir / "broker" / "mosquitto.pid"
        before = int(pid_file.read_text())
        os.kill(before, signal.SIGKILL)

        def back() -> bool:
            with suppress(FileNotFoundError, ValueError):
                return int(pid_file.read_text()) != before
            return False

        wait_until(back, "another broker", timeout=60)
        return
    before = platform.pid(role)
    with suppress(ProcessLookupError):
        os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.pid(role) != before, f"another {role}", timeout=60)


@pytest.mark.timeout(300)
def test_a_hundred_commands_and_every_process_killed(platform: Platform, tmp_path: Path) -> None:
    answer = platform.cli("device", "add", "lamp", "--dialect", "mooring", "--json").json()
    calls: list[int] = []

    def count(args: dict[str, Any]) -> None:
        time.sleep(0.02)  # so that the kills come in between
        calls.append(args["n"])

    def device() -> Device:
        one = Device(answer, store=tmp_path / "store", options=QUICK)
        one.command("count")(count)
        return one

    with device():
        wait_until(
            lambda: any(
                "sdk" in json.loads(row[0] or "{}")
                for row in platform.rows("SELECT metadata FROM device_state")
            ),
            "the device to be known as the SDK",
        )
    who = {"name": "admin", "password": platform.password_of_admin()}
    url = f"http://127.0.0.1:{platform.ports['http_port']}"
    token = httpx.post(f"{url}/api/v1/login", json=who).json()["token"]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as admin:
        for n in range(COMMANDS):
            sent = {"name": "count", "parameters": {"n": n}, "reply_timeout_seconds": 600}
            answered = admin.post("/api/v1/devices/lamp/commands", json=sent, timeout=30)
            assert answered.status_code == 202, answered.text
            assert answered.json()["delivery"] == "at_least_once"
    assert states(platform) == {"queued": COMMANDS}
    with device():
        for turn, role in enumerate(("worker", "broker", "ingest", "serve", "keeper", "worker")):
            at_least = min(COMMANDS - 5, 8 * (turn + 1))
            wait_until(lambda n=at_least: len(calls) >= n, "commands", timeout=90)
            kill(platform, role)
        assert platform.up is not None
        platform.up.kill()
        platform.start()
        wait_until(
            lambda: states(platform) == {"done": COMMANDS}, "every command to be done", timeout=120
        )
    assert calls == list(range(COMMANDS)), "each once, in order"
    delivered = platform.rows("SELECT max(attempts) FROM commands")[0][0]
    assert 1 <= delivered <= 5
