"""Processes killed with SIGKILL while a job goes through many devices: none is forgotten, none is
handed over twice, and the counts add up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.test_commands import kill
from tests.support.boards import Boards
from tests.support.fleet import add_fleet
from tests.support.platform import Platform, running_platform
from tests.support.postgres import Postgres
from tests.support.waiting import wait_until

ROLES = ("worker", "serve", "ingest", "broker")
WHAT: dict[str, dict[str, Any]] = {
    "command": {"name": "blink", "reply_timeout_seconds": 30},
    "settings": {"patch": {"interval_s": 30}, "guard_seconds": 600},
    "rotation": {},
}
SHORT = [pytest.param("command", 100, ROLES, id="command-100")]
LONG = [
    pytest.param(kind, 300, ROLES * 2, id=f"{kind}-300", marks=[pytest.mark.soak]) for kind in WHAT
]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.soak])])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Platform]:
    with ExitStack() as stack:
        env = {"MOORING_AUTH_MODE": "plugin"}
        if request.param == "postgresql":
            env["MOORING_DATABASE_URL"] = stack.enter_context(Postgres()).create_database()
        yield stack.enter_context(running_platform(tmp_path / "data", env=env))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "devices", "roles"), [*SHORT, *LONG])
def test_every_process_killed_during_a_job(
    platform: Platform, kind: str, devices: int, roles: tuple[str, ...]
) -> None:
    logins = add_fleet(platform, devices, dialect="mooring", prefix="lamp")
    wait_until(lambda: not platform.waiting(), "the broker to accept them", timeout=120)
    with Boards(logins, platform.ports["mqtt_port"]) as boards:
        wait_until(lambda: boards.connected == devices, "every device", timeout=120)
        pace = devices / (2 * len(roles))  # it lasts longer than the kills
        asked = {"kind": kind, "what": WHAT[kind], "selection": {"all": True}, "tenant": "default"}
        answer = client(platform).post("/api/v1/jobs", json=asked | {"pace_per_second": pace})
        assert answer.status_code == 202, answer.text
        number = answer.json()["number"]
        for turn, role in enumerate(roles):
            at_least = devices * turn // (len(roles) + 1) + 1
            wait_until(lambda n=at_least: started(platform) >= n, "devices", timeout=120)
            time.sleep(0.01 * (turn % 7))  # anywhere in a turn
            kill(platform, role)
        wait_until(lambda: state(platform, number) == "done", "the end of the job", timeout=300)
        check_counts(platform, number, devices)
        check_devices(platform, kind, boards)


def client(platform: Platform) -> httpx.Client:
    who = {"name": "admin", "password": platform.password_of_admin()}
    url = f"http://127.0.0.1:{platform.ports['http_port']}"
    token = httpx.post(f"{url}/api/v1/login", json=who).json()["token"]
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def started(platform: Platform) -> int:
    return int(platform.rows("SELECT count(*) FROM job_targets WHERE attempts > 0")[0][0])


def state(platform: Platform, number: int) -> str:
    return str(platform.rows("SELECT state FROM jobs WHERE id = ?", number)[0][0])


def check_counts(platform: Platform, number: int, devices: int) -> None:
    """Each device is a target once, is over, and is counted as what it is."""
    names = ("waiting", "handed_over", "succeeded", "failed", "skipped", "cancelled")
    (counts,) = platform.rows(
        "SELECT waiting, handed_over, succeeded, failed, skipped, cancelled FROM jobs WHERE id = ?",
        number,
    )
    found = dict(
        platform.rows("SELECT state, count(*) FROM job_targets WHERE job_id = ? GROUP BY 1", number)
    )
    print(f"counts {dict(zip(names, counts, strict=True))}")
    assert {name: count for name, count in zip(names, counts, strict=True) if count} == found
    assert sum(found.values()) == devices
    assert found.keys() <= {"succeeded", "failed"}
    attempts = platform.rows("SELECT min(attempts), max(attempts) FROM job_targets")
    assert attempts == [(1, 1)]


def check_devices(platform: Platform, kind: str, boards: Boards) -> None:
    """What the devices got is what the platform says of them."""
    ended = dict(platform.rows("SELECT device, state FROM job_targets"))
    causes = dict(platform.rows("SELECT cause, count(*) FROM job_targets GROUP BY 1"))
    print(f"causes {causes}")
    if kind == "command":
        made = platform.rows(
            "SELECT count(*), count(DISTINCT device_id), max(attempts) FROM commands"
        )
        assert made == [(len(boards.all), len(boards.all), 1)]
        # What was with a killed broker, and what answered to it, is lost and not repeated.
        assert causes.keys() <= {"", "timed_out"}
        assert causes.get("", 0) > len(boards.all) // 2
        for board in boards.all:
            assert sum(board.commands.values()) <= 1, "handed over twice"
            if ended[board.login.device] == "succeeded":
                assert sum(board.commands.values()) == 1
    elif kind == "settings":
        assert set(ended.values()) == {"succeeded"}
        assert platform.rows("SELECT min(version), max(version) FROM device_settings") == [(1, 1)]
        assert platform.counted("device_settings_reverted") == 0
        for board in boards.all:
            assert set(board.versions) == {1}
    else:
        assert set(ended.values()) == {"succeeded"}
        for board in boards.all:
            assert len(board.passwords) == 2, "one new password each"
