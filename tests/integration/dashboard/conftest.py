"""The dashboard without a browser: the application in this process, on a database of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from mooring.app import App, open_app
from mooring.people import passwords
from mooring.serve.app import create_app
from mooring.settings import Settings
from tests.support.dashboard import Browser, person
from tests.support.ports import free_port

BrowserOf = Callable[..., Browser]


@pytest.fixture(scope="module", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Argon2id with little memory: what a hash costs is tested with the unit tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(1, 8, 1))
        passwords._nobody.cache_clear()
        yield
    passwords._nobody.cache_clear()


@pytest.fixture
def settings(tmp_path: Path, new_sqlite_url: str) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url=new_sqlite_url, mqtt_port=free_port())


@pytest.fixture
def platform(settings: Settings) -> Iterator[App]:
    """A platform of this test alone; nobody listens on its broker's port."""
    with open_app(settings, upgrade=True) as app:
        yield app


@pytest.fixture
def api(platform: App) -> Any:
    return create_app(platform)


@pytest.fixture
def browser_of(platform: App, api: Any) -> BrowserOf:
    """``browser_of("operator", tenant="a")``; ``browser_of()``: nobody."""

    def make(role: str = "", tenant: str | None = None) -> Browser:
        return person(platform, api, role, tenant) if role else Browser(api)

    return make


@pytest.fixture
def admin(browser_of: BrowserOf) -> Browser:
    return browser_of("admin")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[App]:
    """A platform for all tests of a module."""
    directory = tmp_path_factory.mktemp("shared")
    shutil.copy(migrated_file, directory / "mooring.db")
    url = f"sqlite:///{directory / 'mooring.db'}"
    settings = Settings(data_dir=directory / "data", database_url=url, mqtt_port=free_port())
    with open_app(settings, upgrade=True) as app:
        yield app
