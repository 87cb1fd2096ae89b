"""A platform on a database of its own, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring.app import App, open_app
from mooring.device_settings.apply import Applying
from mooring.device_settings.levels import SettingsLevels
from mooring.device_settings.model import Change
from mooring.device_settings.service import DeviceSettings
from mooring.device_settings.worker import SettingsWorker
from mooring.devices.model import Device, NewDevice
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from tests.support.ports import free_port

Add = Callable[..., Device]


@pytest.fixture
def settings(tmp_path: Path, migrated_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        device_settings_levels_max_per_tenant=4,
        device_settings_schemas_max_per_tenant=2,
        device_settings_versions_kept=3,
        device_settings_per_second=100_000,
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[App]:
    with open_app(settings, upgrade=True) as app:
        yield app


@pytest.fixture
def device(platform: App) -> Add:
    """``device("lamp", tenant="a", dialect="mooring", groups=("g",))``."""

    def add(
        name: str, tenant: str = "a", dialect: str = "mooring", groups: tuple[str, ...] = ()
    ) -> Device:
        new = NewDevice(name, dialect, tenant, groups=groups)
        return platform.devices.add(SYSTEM, new)[0].device

    return add


@pytest.fixture
def own(platform: App) -> DeviceSettings:
    return platform.service(DeviceSettings)


@pytest.fixture
def levels(platform: App) -> SettingsLevels:
    return platform.service(SettingsLevels)


@pytest.fixture
def worker(platform: App) -> Iterator[SettingsWorker]:
    """In small batches."""
    made = SettingsWorker(platform.database, platform.service(Applying), platform.settings, batch=3)
    assert made.holds()
    yield made
    made.close()


def run(worker: SettingsWorker) -> int:
    """Everything that is due; how many steps it took."""
    steps = 1
    while worker.step():
        steps += 1
        assert steps < 1000
    return steps


def patch(**document: Any) -> Change:
    return Change(document)
