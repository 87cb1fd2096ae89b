"""A platform on an empty database, served by a real uvicorn on a free port.

The services run on SQLite and on PostgreSQL: ``any_database_url`` gives the URL.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher

from mooring.app import App, open_app
from mooring.devices.model import Device, NewDevice
from mooring.identity.actor import SYSTEM, Role
from mooring.people import passwords
from mooring.people.model import NewKey
from mooring.serve.app import create_app
from mooring.settings import Settings
from tests.integration.http.rows import AddDevice
from tests.support.ports import free_port
from tests.support.waiting import wait_until

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP. By default each client reads all public CAs, which takes 50 ms."""

ClientOf = Callable[..., httpx.Client]


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Argon2id with little memory: what a hash costs is tested with the unit tests."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(1, 8, 1))
    passwords._nobody.cache_clear()
    yield
    passwords._nobody.cache_clear()


@pytest.fixture
def any_database_url(migrated_url: str) -> str:
    """Migrated already: that takes longer than most of these tests."""
    return migrated_url


@pytest.fixture
def settings(tmp_path: Path, any_database_url: str) -> Settings:
    """Nobody listens on the broker's port; a test with a broker names another."""
    return Settings(
        data_dir=tmp_path / "data", database_url=any_database_url, mqtt_port=free_port()
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[App]:
    with open_app(settings, upgrade=True) as app:
        yield app


@contextmanager
def serving(platform: App) -> Iterator[str]:
    """The application behind a real uvicorn in a thread; gives its URL."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(create_app(platform), port=port, log_config=None, server_header=False)
    )
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "uvicorn to serve")
        assert thread.is_alive()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def url(platform: App) -> Iterator[str]:
    with serving(platform) as url:
        yield url


@pytest.fixture
def client_of(platform: App, url: str) -> Iterator[ClientOf]:
    """``client_of("operator", tenant="a")``: a client with an API key of that role."""
    with ExitStack() as stack:

        def make(role: str, tenant: str | None = None) -> httpx.Client:
            issued = platform.people.add_key(SYSTEM, NewKey(role, Role.of(role), tenant))
            headers = {"Authorization": f"Bearer {issued.secret}"}
            return stack.enter_context(
                httpx.Client(base_url=url, headers=headers, timeout=30, verify=NO_TLS)
            )

        yield make


@pytest.fixture
def admin(client_of: ClientOf) -> httpx.Client:
    return client_of("admin")


@pytest.fixture
def nobody(url: str) -> Iterator[httpx.Client]:
    """A client without any login."""
    with httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        yield client


@pytest.fixture
def add_device(platform: App) -> AddDevice:
    """``add_device("lamp", tenant="a")``: a device, in the database alone."""

    def add(
        name: str = "lamp",
        *,
        dialect: str = "smarthome",
        tenant: str = "a",
        mac: str | None = None,
        groups: tuple[str, ...] = (),
    ) -> Device:
        new = NewDevice(name, dialect, tenant, mac=mac, groups=groups)
        return platform.devices.add(SYSTEM, new)[0].device

    return add
