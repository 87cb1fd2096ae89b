"""Ingest under faults: what a publisher got a PUBACK for is stored exactly once."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.load import Publisher, every
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

RATE = 400.0  # messages a second of each publisher


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("faults") / "data") as running:
        yield running


def stored_numbers(platform: Platform, login: Login) -> list[int]:
    return [
        row[0]
        for row in platform.rows(
            "SELECT json_extract(payload, '$.n') FROM messages WHERE device_id ="
            " (SELECT id FROM devices WHERE username = ?)",
            login.username,
        )
    ]


def check(platform: Platform, login: Login, acknowledged: set[int]) -> None:
    """Every acknowledged number is there once; nothing else is there twice."""
    wait_until(
        lambda: acknowledged <= set(stored_numbers(platform, login)),
        f"all {len(acknowledged)} acknowledged messages of {login.device}",
        timeout=60,
    )
    time.sleep(0.5)  # a repetition would come after
    numbers = stored_numbers(platform, login)
    assert len(numbers) == len(set(numbers)), "a message is stored twice"
    print(f"{login.device}: acknowledged {len(acknowledged)}, stored {len(numbers)}, twice 0")


@pytest.fixture
def load(platform: Platform, request: pytest.FixtureRequest) -> Iterator[list[Publisher]]:
    """Three publishers: two without any time in their payloads, one with."""
    word = request.node.name.replace("[", "-").replace("]", "")[5:40]
    logins = [platform.add(f"{word}-{n}", "drivesafe") for n in range(3)]
    publishers = [
        Publisher(login, platform.ports["mqtt_port"], rate=RATE, timed=n == 2).start()
        for n, login in enumerate(logins)
    ]
    yield publishers
    finished = [publisher.finish() for publisher in publishers]  # all, whatever they find
    for login, acknowledged in zip(logins, finished, strict=True):
        check(platform, login, acknowledged)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_ingest_killed(platform: Platform, load: list[Publisher], times: int) -> None:
    killed: list[int] = []

    def kill() -> None:
        pid = platform.pid("ingest")
        assert pid not in killed
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
        wait_until(lambda: platform.pid("ingest") not in killed, "a new ingest", timeout=40)

    every(1.5, kill, times)
    assert len(killed) == times


@pytest.mark.parametrize("seconds", [7, pytest.param(60, marks=pytest.mark.soak)])
def test_database_locked(platform: Platform, load: list[Publisher], seconds: float) -> None:
    time.sleep(1)
    database = sqlite3.connect(platform.data_dir / "mooring.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    time.sleep(seconds)
    database.execute("ROLLBACK")
    database.close()
    time.sleep(1)


def test_serve_killed(platform: Platform, load: list[Publisher]) -> None:
    before = platform.pid("serve")
    time.sleep(1)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.pid("serve") != before, "a new serve", timeout=40)


def test_broker_stopped_and_started(platform: Platform, load: list[Publisher]) -> None:
    """An orderly end of the broker (SIGTERM) loses nothing: it saves its queues."""
    time.sleep(1)
    pid = int(Path(platform.data_dir / "broker" / "mosquitto.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(
        lambda: (
            (platform.data_dir / "broker" / "mosquitto.pid").exists()
            and int((platform.data_dir / "broker" / "mosquitto.pid").read_text() or 0) != pid
        ),
        "a new broker",
        timeout=40,
    )
    time.sleep(1)
