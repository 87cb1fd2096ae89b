"""A platform without a broker, a sink that lists unknown devices, and the worker; both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.app import App, open_app
from mooring.discovery.service import Discovery
from mooring.discovery.worker import DiscoveryWorker
from mooring.ingest.plan import Plan, UnknownDevice
from mooring.ingest.projections import Projections
from mooring.ingest.sinks import open_sink
from mooring.settings import Settings
from mooring.store.engine import now_ms
from tests.support.ports import free_port

Speak = Callable[..., None]


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        discovery_max_per_tenant=10,
        strangers_max=30,
        claim_attempts_per_minute=50,
        claim_attempts_all_per_minute=50,
    )
    with open_app(settings, upgrade=True) as app:
        yield app


@pytest.fixture
def discovery(platform: App) -> Discovery:
    return platform.service(Discovery)


@pytest.fixture
def worker(platform: App) -> DiscoveryWorker:
    return DiscoveryWorker(
        platform.database, platform.downlinks, platform.settings, lambda: platform.catalogue
    )


@pytest.fixture
def speak(platform: App) -> Iterator[Speak]:
    """``speak("a", "b", tenant=…, registers=…, at=…)``: unknown devices, as ingest lists them."""
    sink = open_sink(platform.settings, Projections())
    number = 0

    def speak(
        *names: str,
        tenant: str = "default",
        dialect: str = "iotflow",
        registers: bytes | None = None,
        at: int | None = None,
    ) -> None:
        nonlocal number
        number += 1
        at = now_ms() if at is None else at
        plan = Plan()
        for name in names:
            one = UnknownDevice(dialect, tenant, name, at, 1, f"some/{name}")
            if registers is not None:
                one = replace(one, registered_at=at, registration=registers)
            plan.unknown[dialect, tenant, name] = one
        sink.commit(plan, "c", number, 0)

    yield speak
    sink.close()
