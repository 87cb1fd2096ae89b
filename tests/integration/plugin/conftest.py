"""A broker that asks the plugin, on the accounts file of the test.

``MOORING_TEST_MOSQUITTO`` names another Mosquitto program to run all of it on.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mooring.broker.plugin.build import build
from tests.support.accounts_db import SERVICE, AccountsDb, Watch
from tests.support.mosquitto import Mosquitto, find_mosquitto
from tests.support.mqtt import MqttClient
from tests.support.plugin_stub import PluginStub, build_stub

StartBroker = Callable[..., Mosquitto]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin, compiled with every warning an error."""
    return build(tmp_path_factory.mktemp("plugin"), strict=True)


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[AccountsDb]:
    db = AccountsDb(tmp_path / "accounts.db")
    yield db
    db.close()


@pytest.fixture
def start_broker(tmp_path: Path, library: Path) -> Iterator[StartBroker]:
    """``start_broker(accounts_path, *lines)``: as many brokers as a test needs."""
    with ExitStack() as stack:
        started = 0

        def start(path: Path, *lines: str, options: tuple[str, ...] = ()) -> Mosquitto:
            nonlocal started
            started += 1
            binary = Path(os.environ.get("MOORING_TEST_MOSQUITTO") or find_mosquitto())
            plugin = (
                f"plugin {library}",
                f"plugin_opt_accounts {path}",
                *options,
                "auth_plugin_deny_special_chars false",
            )
            own = ("per_listener_settings false", "allow_anonymous false", *plugin, *lines)
            folder = tmp_path / f"broker-{started}"
            return stack.enter_context(Mosquitto(folder, *own, binary=binary))

        yield start


@pytest.fixture
def broker(start_broker: StartBroker, accounts: AccountsDb) -> Mosquitto:
    return start_broker(accounts.path)


@pytest.fixture
def connect(broker: Mosquitto) -> Iterator[Callable[..., MqttClient]]:
    """``connect(username, password="secret", port=…, …)``: a connected client."""
    with ExitStack() as stack:

        def one(
            username: str | None,
            password: str | None = "secret",  # noqa: S107
            *,
            port: int = broker.port,
            **options: object,
        ) -> MqttClient:
            client = MqttClient(port, username=username, password=password, **options)  # type: ignore[arg-type]
            return stack.enter_context(client)

        yield one


@pytest.fixture
def watch(connect: Callable[..., MqttClient]) -> Watch:
    return Watch(connect(SERVICE, "service", client_id="mooring-watch"))


@pytest.fixture
def reader(connect: Callable[..., MqttClient]) -> MqttClient:
    """Another connection of the service account, for messages."""
    return connect(SERVICE, "service", client_id="mooring-reader")


@pytest.fixture(scope="session")
def inner(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The plugin's functions, in this process."""
    return ctypes.CDLL(str(build_stub(tmp_path_factory.mktemp("stub"))))


@pytest.fixture
def stub(inner: ctypes.CDLL, accounts: AccountsDb) -> Iterator[PluginStub]:
    started = PluginStub(inner, accounts.path)
    yield started
    started.stop()
