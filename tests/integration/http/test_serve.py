"""The serving process itself: starts, answers, signs off; a taken port is named."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.errors import Conflict, InvalidSetting
from mooring.identity.actor import SYSTEM
from mooring.people.model import NewKey
from mooring.secrets.instance import open_instance
from mooring.serve import server as serve
from mooring.serve.server import run
from mooring.settings import Settings
from mooring.settings.field import InvalidValue
from mooring.store.schema import processes
from tests.support.migrated import copy_migrated
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.waiting import wait_until

PROGRAM = """
import logging, sys
from mooring.app import open_app
from mooring.serve import server as serve
from mooring.serve.server import run
logging.basicConfig(level="INFO")
with open_app(flags={"data_dir": sys.argv[1]}) as app:
    run(app)
print("ended in order")
"""


@pytest.fixture
def any_database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data' / 'mooring.db'}"


@pytest.fixture
def settings(tmp_path: Path, broker: Mosquitto) -> Settings:
    copy_migrated(tmp_path / "data")
    return Settings(
        data_dir=tmp_path / "data", mqtt_port=broker.port, client_ids="own", http_port=free_port()
    )


@pytest.fixture
def served(platform: App, tmp_path: Path) -> Iterator[Child]:
    settings = platform.settings
    environment = {
        **os.environ,
        "MOORING_HTTP_PORT": str(settings.http_port),
        "MOORING_MQTT_PORT": str(settings.mqtt_port),
        "MOORING_CLIENT_IDS": settings.client_ids,
    }
    child = Child(
        [sys.executable, "-c", PROGRAM, settings.data_dir], tmp_path / "log", env=environment
    )
    yield child
    child.end()


def ready(child: Child, url: str) -> bool:
    assert child.running, child.log()
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False  # not listening yet


def roles(platform: App) -> list[str]:
    with platform.database.read() as connection:
        return list(connection.execute(sa.select(processes.c.role)).scalars())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_asked_to_stop(
    platform: App, served: Child, number: signal.Signals
) -> None:
    url = f"http://127.0.0.1:{platform.settings.http_port}"
    wait_until(lambda: ready(served, url), "the server to be ready")
    assert roles(platform) == ["serve"]
    secret = platform.people.add_key(SYSTEM, NewKey("ci")).secret
    status = httpx.get(f"{url}/api/v1/status", headers={"X-API-Key": secret}).json()
    assert status["broker_connected"] is True
    (process,) = status["processes"]
    assert (process["pid"], process["alive"]) == (served.pid, True)
    assert process["detail"]["port"] == platform.settings.http_port
    httpx.post(f"{url}/api/v1/login", json={"name": "ada", "password": "hunter2-hunter2"})
    assert served.end(number) == 0
    instance = open_instance(platform.settings.data_dir)
    for word in (secret, "hunter2-hunter2", instance.service_password, instance.session_key):
        assert word not in served.log()
    assert "ended in order" in served.log()
    assert "Traceback" not in served.log()
    assert roles(platform) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_running_request_is_finished(platform: App, served: Child) -> None:
    """A request whose body is still on its way when the signal comes gets its answer."""
    url = f"http://127.0.0.1:{platform.settings.http_port}"
    wait_until(lambda: ready(served, url), "the server to be ready")
    asked, stopping = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b'{"name":"ada",'
        asked.set()
        stopping.wait(20)
        yield b'"password":"wrong"}'

    def stop() -> None:
        asked.wait(20)
        served.send(signal.SIGTERM)
        wait_until(lambda: not connectable(platform.settings.http_port), "it to stop listening")
        stopping.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    answer = httpx.post(
        f"{url}/api/v1/login",
        content=slowly(),
        headers={"Content-Type": "application/json"},
        timeout=30,
    )
    stopper.join(30)
    assert answer.json()["code"] == "login_failed"
    assert served.end() == 0


def connectable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_taken_port_is_named(platform: App) -> None:
    taken = socket.create_server(("127.0.0.1", platform.settings.http_port))
    with taken, pytest.raises(Conflict) as caught:
        run(platform)
    assert str(platform.settings.http_port) in caught.value.message
    assert caught.value.slug == "port_taken"
    assert "--http-port" in caught.value.hint
    assert roles(platform) == []


def test_an_address_of_another_machine_is_a_wrong_setting(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", http_host="192.0.2.1", http_port=free_port())
    with open_app(settings, upgrade=True) as app, pytest.raises(InvalidSetting):
        run(app)


def serves_on(host: str, *addresses: str) -> list[bool]:
    port = free_port()
    sockets = serve._listen(host, port)
    try:
        answers = []
        for address in addresses:
            try:
                socket.create_connection((address, port), timeout=5).close()
                answers.append(True)
            except OSError:
                answers.append(False)
        return answers
    finally:
        for one in sockets:
            one.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="a machine without IPv6")
def test_both_families() -> None:
    assert serves_on("::", "127.0.0.1", "::1") == [True, True]
    assert serves_on("::1", "127.0.0.1", "::1") == [False, True]


def test_one_family() -> None:
    assert serves_on("0.0.0.0", "127.0.0.1") == [True]  # noqa: S104
    assert serves_on("localhost", "127.0.0.1") == [True]


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "[" + "y" * 80 + "]"])
def test_a_host_that_no_resolver_takes_is_a_wrong_setting(host: str) -> None:
    with pytest.raises(InvalidValue):
        Settings(http_host=host)
