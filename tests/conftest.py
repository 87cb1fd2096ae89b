"""Fixtures every test can use: real servers on free loopback ports, ended whatever happens.

    broker            one running Mosquitto that lets anybody in
    start_mosquitto   Mosquittos with the configuration lines a test is about
    postgres_server   one throw-away PostgreSQL for the whole run, which does not wait for the disk
    postgres_url      its superuser's URL
    database_url      a new, empty PostgreSQL database
    any_database_url  the test runs twice: on SQLite and on PostgreSQL
    migrated_url      the same, with every table there
    database          the same, opened
    mqtt_client       connected MQTT clients (paho-mqtt)
    run_cli           the real ``mooring`` program with a data directory of its own

A server that is not installed is an error that names the install command, never a skip.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from mooring.store.engine import Database, open_database
from tests.support import migrated
from tests.support.cli import Cli
from tests.support.mosquitto import Mosquitto, find_mosquitto
from tests.support.mqtt import MqttClient
from tests.support.postgres import Postgres

# MOORING_TEST_MOSQUITTO names the broker of another version: tests and program find it first.
if "MOORING_TEST_MOSQUITTO" in os.environ:
    _other = Path(os.environ["MOORING_TEST_MOSQUITTO"])
    os.environ["PATH"] = os.pathsep.join([str(_other.parent), os.environ["PATH"]])

# How long an example takes is the machine's business, which may have other work.
hypothesis_settings.register_profile(
    "mooring", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
hypothesis_settings.load_profile("mooring")

# Under nohup it would be ignored by each program that the tests start, too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays to the end: Python does not look for circles in it, here
    or later, which would take half a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    migrated.remove()


StartMosquitto = Callable[..., Mosquitto]
ConnectClient = Callable[..., MqttClient]


@pytest.fixture(scope="session")
def mosquitto_binary() -> Path:
    return find_mosquitto()


@pytest.fixture
def start_mosquitto(tmp_path: Path, mosquitto_binary: Path) -> Iterator[StartMosquitto]:
    """``start_mosquitto(*lines, port=…, config=…)``: a running ``Mosquitto``, as many as asked."""
    with ExitStack() as stack:
        started = 0

        def start(*lines: str, **options: Any) -> Mosquitto:
            nonlocal started
            started += 1
            directory = tmp_path / f"mosquitto-{started}"
            return stack.enter_context(
                Mosquitto(directory, *lines, binary=mosquitto_binary, **options)
            )

        yield start


@pytest.fixture
def broker(start_mosquitto: StartMosquitto) -> Mosquitto:
    return start_mosquitto()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with Postgres(quick=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Postgres) -> str:
    return postgres_server.url


@pytest.fixture
def database_url(postgres_server: Postgres) -> Iterator[str]:
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'mooring.db'}"
    url: str = request.getfixturevalue("database_url")
    return url


@pytest.fixture(scope="session")
def migrated_file() -> Path:
    """A SQLite file with every table and no row: copying it is quicker than migrating."""
    return migrated.migrated_file()


@pytest.fixture
def new_sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A SQLite database with every table and no row, for this test alone."""
    path = tmp_path / "mooring.db"
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: Postgres) -> str:
    """The URL of a PostgreSQL database for the same reason: emptied, not made anew."""
    url = postgres_server.create_database()
    migrated.migrate(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        new: str = request.getfixturevalue("new_sqlite_url")
        return new
    server: Postgres = request.getfixturevalue("postgres_server")
    url: str = request.getfixturevalue("migrated_postgres")
    server.empty_tables(url)
    return url


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    opened = open_database(migrated_url)
    yield opened
    opened.close()


@pytest.fixture
def mqtt_client() -> Iterator[ConnectClient]:
    """``mqtt_client(port, username=…, …)``: a connected ``MqttClient``."""
    with ExitStack() as stack:

        def connect(port: int, **options: Any) -> MqttClient:
            return stack.enter_context(MqttClient(port, **options))

        yield connect


@pytest.fixture
def run_cli(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path / "data")
    yield cli
    cli.stop()
