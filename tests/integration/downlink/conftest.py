"""A platform on a database of its own, on both engines, and a link that only remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mooring.app import App, open_app
from mooring.devices.model import Device, NewDevice
from mooring.downlink.model import NewDownlink
from mooring.downlink.rules import Until
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from mooring.store.engine import now_ms
from tests.support.ports import free_port

HOUR = 3_600_000


@pytest.fixture
def settings(tmp_path: Path, migrated_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        downlinks_max_per_device=5,
        downlinks_max_per_tenant=8,
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[App]:
    with open_app(settings, upgrade=True) as app:
        yield app


@pytest.fixture
def device(platform: App) -> Callable[..., Device]:
    """``device("lamp", tenant="a")``."""

    def add(name: str, tenant: str = "a") -> Device:
        return platform.devices.add(SYSTEM, NewDevice(name, "iotflow", tenant))[0].device

    return add


@pytest.fixture
def put(platform: App) -> Callable[..., int]:
    """``put(device, payload)``: writes a downlink in a transaction of its own."""

    def write(
        device: Device,
        payload: bytes = b"x",
        *,
        until: Until = Until.TAKEN,
        seconds: float = 3600,
        dedupe: str | None = None,
        secret: bool = False,
        not_before: int | None = None,
    ) -> int:
        new = NewDownlink(
            topic=f"iotflow/devices/{device.name}/commands/control",
            payload=payload,
            tenant=device.tenant,
            origin="test",
            expires_at=now_ms() + int(seconds * 1000),
            device_id=device.id,
            until=until,
            dedupe=dedupe,
            secret=secret,
            not_before=not_before,
        )
        with platform.database.write() as connection:
            return platform.downlinks.put(connection, new).id

    return write
