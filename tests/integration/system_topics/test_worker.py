"""What is written for system topics, on both engines; the broker is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.devices.model import NewDevice
from mooring.errors import BrokerUnavailable
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import desired, device_state, downlinks
from mooring.system_topics.worker import SystemTopics
from tests.support.ports import free_port

HEALTH = "iotflow/system/health"


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    settings = Settings(
        data_dir=tmp_path / "data", database_url=migrated_url, mqtt_port=free_port()
    )
    with open_app(settings, upgrade=True) as app:
        yield app


def documents(platform: App) -> dict[str, dict[str, object] | None]:
    c = desired.c
    with platform.database.read() as connection:
        rows = connection.execute(sa.select(c.topic, c.payload)).all()
    found = {topic: payload and json.loads(payload) for topic, payload in rows}
    for said in found.values():
        if said is not None:
            del said["timestamp"]
    return found


def look(worker: SystemTopics, at: int) -> None:
    with pytest.raises(BrokerUnavailable):
        asyncio.run(worker.step(at))


def test_documents_and_alerts(platform: App) -> None:
    worker = SystemTopics(platform)
    at = now_ms()
    asyncio.run(worker.step(at))  # no device speaks a dialect with such channels
    assert documents(platform) == {}
    first, _ = platform.devices.add(SYSTEM, NewDevice("b1", "iotflow", "a", groups=("boilers",)))
    platform.devices.add(SYSTEM, NewDevice("b2", "iotflow", "b", groups=("boilers", "old")))
    platform.devices.add(SYSTEM, NewDevice("p1", "pulse", "a", groups=("pumps",)))
    with platform.database.write() as connection:
        connection.execute(
            sa.insert(device_state).values(device_id=first.device.id, connected=True)
        )
    at += 30_000
    look(worker, at)
    assert documents(platform) == {
        HEALTH: {"status": "degraded"},
        "iotflow/fleet/status/boilers": {"devices": 2, "online": 1},
        "iotflow/fleet/status/old": {"devices": 1, "online": 0},
    }
    # The platform does not run; that counts from the second look on, and is said once.
    for step in range(1, 4):
        look(worker, at + step * 5_000)
    with platform.database.read() as connection:
        rows = connection.execute(sa.select(downlinks.c.topic, downlinks.c.payload)).all()
        versions = connection.execute(sa.select(desired.c.version).distinct()).scalars().all()
    assert [row[0] for row in rows] == ["iotflow/system/alerts"]
    assert json.loads(rows[0][1])["alert"] == "not_running"
    assert versions == [at]  # nothing is written again before it is due
    # A group that has no members any more is cleared, and the others stay.
    platform.devices.remove(SYSTEM, "b2")
    look(worker, at + 30_000)
    assert documents(platform) == {
        HEALTH: {"status": "degraded"},
        "iotflow/fleet/status/boilers": {"devices": 1, "online": 1},
        "iotflow/fleet/status/old": None,
    }
    platform.devices.remove(SYSTEM, "b1")
    asyncio.run(worker.step(at + 60_000))


def test_after_the_last_device_nothing_is_left(platform: App) -> None:
    worker = SystemTopics(platform)
    at = now_ms()
    platform.devices.add(SYSTEM, NewDevice("b1", "iotflow", "a", groups=("boilers",)))
    look(worker, at)
    platform.devices.remove(SYSTEM, "b1")
    asyncio.run(SystemTopics(platform).step(at + 30_000))  # another process continues
    assert set(documents(platform).values()) == {None}
