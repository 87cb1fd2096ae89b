"""A whole platform on PostgreSQL under faults: what a publisher got a PUBACK for is stored
exactly once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.load import Publisher, every
from tests.support.platform import Login, Platform, running_platform
from tests.support.postgres import Postgres
from tests.support.waiting import wait_until

RATE = 300.0  # messages a second of each publisher


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One that is killed, so not the one that other tests share."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def platform(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {"MOORING_DATABASE_URL": server.create_database()}
    with running_platform(tmp_path_factory.mktemp("faults") / "data", env=env) as running:
        yield running


def stored_numbers(platform: Platform, login: Login) -> list[int]:
    rows = platform.rows(
        "SELECT payload FROM messages WHERE device_id ="
        " (SELECT id FROM devices WHERE username = ?)",
        login.username,
    )
    return [json.loads(row[0])["n"] for row in rows]


@pytest.fixture
def load(platform: Platform, request: pytest.FixtureRequest) -> Iterator[list[Publisher]]:
    """Two publishers: one without any time in its payloads, one with."""
    word = request.node.name[5:40]
    logins = [platform.add(f"{word}-{n}", "drivesafe") for n in range(2)]
    publishers = [
        Publisher(login, platform.ports["mqtt_port"], rate=RATE, timed=n == 1).start()
        for n, login in enumerate(logins)
    ]
    yield publishers
    finished = [publisher.finish() for publisher in publishers]  # all, whatever they find
    for login, acknowledged in zip(logins, finished, strict=True):
        wait_until(
            lambda login=login, acknowledged=acknowledged: (
                acknowledged  # type: ignore[misc]
                <= set(stored_numbers(platform, login))
            ),
            f"all {len(acknowledged)} acknowledged messages of {login.device}",
            timeout=60,
        )
        time.sleep(0.5)  # a repetition would come after
        numbers = stored_numbers(platform, login)
        assert len(numbers) == len(set(numbers)), "a message is stored twice"
        print(f"{login.device}: acknowledged {len(acknowledged)}, stored {len(numbers)}, twice 0")


def test_database_killed(platform: Platform, server: Postgres, load: list[Publisher]) -> None:
    def kill() -> None:
        server.crash()
        time.sleep(1)  # the broker keeps what comes in meanwhile
        server.restart()

    every(1, kill, 2)
    time.sleep(1)


def test_broker_killed_while_the_database_is_gone(platform: Platform, server: Postgres) -> None:
    """Devices can send without a database, so the broker does not wait for it.

    The device numbers its messages: of others, what a killed broker delivers again may be stored
    twice (``docs/explanation/how-ingest-works.md``)."""
    login = platform.add("broker-killed", "mooring")
    publisher = Publisher(login, platform.ports["mqtt_port"], rate=RATE, numbered=True).start()
    try:
        time.sleep(1)
        server.crash()
        pid_file = platform.data_dir / "broker" / "mosquitto.pid"
        before = publisher.connects
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        wait_until(lambda: publisher.connects > before, "the device to be let in", timeout=40)
        again, first = publisher.connects, publisher.sent
        time.sleep(3)
        assert publisher.connects == again, "the broker was ended again"
    finally:
        server.restart()
        acknowledged = publisher.finish()
    # What the killed broker alone held may be lost; nothing that the new one took.
    since = {number for number in acknowledged if number >= first}
    assert since
    wait_until(
        lambda: since <= set(stored_numbers(platform, login)),
        f"all {len(since)} messages sent to the new broker",
        timeout=60,
    )
    numbers = stored_numbers(platform, login)
    assert len(numbers) == len(set(numbers)), "a message is stored twice"


def test_connections_terminated(
    platform: Platform, server: Postgres, load: list[Publisher]
) -> None:
    database = platform.cli.env["MOORING_DATABASE_URL"].rpartition("/")[2]
    ended = 0

    def terminate() -> None:
        nonlocal ended
        with psycopg.connect(server.url, autocommit=True) as connection:
            ended += len(
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    (database,),
                ).fetchall()
            )

    every(0.2, terminate, 10)
    assert ended >= 10


def test_ingest_killed(platform: Platform, load: list[Publisher]) -> None:
    time.sleep(1)
    before = platform.pid("ingest")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.pid("ingest") != before, "a new ingest", timeout=40)
    time.sleep(1)
