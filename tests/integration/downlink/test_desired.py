"""Desired documents on a real broker, also on one that comes up empty or with an older state."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.broker.connection import Connection, Endpoint
from mooring.devices.model import Device
from mooring.downlink.desired.worker import DesiredKeeper
from mooring.errors import Conflict, Invalid
from mooring.identity.actor import SYSTEM
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint as LinkEndpoint
from mooring.store.schema import counters, desired
from tests.conftest import StartMosquitto
from tests.support.mosquitto import Mosquitto

Add = Callable[..., Device]
FILTER = "iotflow/devices/+/config"


def put(platform: App, device: Device, payload: bytes, *, version: int = 1, leaf: str = "") -> str:
    topic = f"iotflow/devices/{device.name}/config{leaf}"
    with platform.database.write() as connection:
        platform.desired.put(connection, topic, device, payload, version=version, origin="test")
    return topic


def rows(platform: App) -> list[tuple[Any, ...]]:
    with platform.database.read() as connection:
        columns = (desired.c.topic, desired.c.payload, desired.c.version, desired.c.pending)
        found = connection.execute(sa.select(*columns).order_by(desired.c.topic))
        return [tuple(row) for row in found]


def test_written_with_its_version(platform: App, device: Add) -> None:
    lamp = device("lamp")
    topic = put(platform, lamp, b"one", version=3)
    put(platform, lamp, b"old", version=2)
    assert rows(platform) == [(topic, b"one", 3, True)]
    put(platform, lamp, b"new", version=4)
    assert rows(platform) == [(topic, b"new", 4, True)]
    with platform.database.write() as connection:
        assert platform.desired.topics(connection, lamp) == [topic]
        assert platform.desired.drop(connection, topic, "another") == 1
    assert rows(platform) == [(topic, None, 4, True)]
    put(platform, lamp, b"again", version=1)
    assert rows(platform) == [(topic, b"again", 1, True)]


def test_what_cannot_be_retained(platform: App, device: Add) -> None:
    lamp = device("lamp")
    for topic, payload in (("a/#", b"x"), ("a", b""), ("a" * 1025, b"x")):
        with pytest.raises(Invalid), platform.database.write() as connection:
            platform.desired.put(connection, topic, lamp, payload, version=1, origin="test")
    most = platform.settings.desired_max_per_device
    for number in range(most):
        put(platform, lamp, b"x", leaf=str(number))
    put(platform, lamp, b"y", leaf="0", version=2)
    with pytest.raises(Conflict) as refusal:
        put(platform, lamp, b"x", leaf="more")
    assert refusal.value.slug == "limit_reached"


# ---------------------------------------------------------------------- with a broker


class Stand:
    """A keeper, its link, and a look at what the broker has retained."""

    def __init__(self, platform: App, port: int) -> None:
        self.platform = platform
        self.control = Endpoint(port=port)
        self.link = MqttLink(LinkEndpoint("127.0.0.1", port, "u", "p", "mooring-desired"))
        self.keeper = DesiredKeeper(
            platform.database,
            platform.instance,
            self.control,
            lambda: [FILTER],
            compare_seconds=3600,
        )
        self.connected = asyncio.Event()
        self.link.on_state = self._changed

    def _changed(self, connected: bool) -> None:
        if connected:
            self.connected.set()
            self.keeper.compare_soon()
        else:
            self.connected.clear()

    async def step(self) -> int:
        async with asyncio.timeout(20):
            await self.connected.wait()
        return await self.keeper.step(self.link)

    async def retained(self) -> dict[str, bytes]:
        async with await Connection.open(self.control) as connection:
            return {
                packet.topic: packet.payload async for packet in connection.retained_messages(["#"])
            }


def run(platform: App, port: int, work: Callable[[Stand], Awaitable[None]]) -> None:
    async def inside() -> None:
        stand = Stand(platform, port)
        await stand.link.start()
        try:
            await work(stand)
        finally:
            await stand.link.close()

    asyncio.run(inside())


def test_published_changed_and_cleared(platform: App, device: Add, broker: Mosquitto) -> None:
    lamp, pump = device("lamp"), device("pump")

    async def work(stand: Stand) -> None:
        await stand.link.publish("iotflow/devices/hand/config", b"by hand", qos=1, retain=True)
        topic, other = put(platform, lamp, b"one"), put(platform, pump, b"two")
        assert await stand.step() == 2
        kept = {"iotflow/devices/hand/config": b"by hand"}
        assert await stand.retained() == {topic: b"one", other: b"two", **kept}
        assert [row[3] for row in rows(platform)] == [False, False]
        assert await stand.step() == 0
        put(platform, lamp, b"three", version=2)
        assert await stand.step() == 1
        assert await stand.retained() == {topic: b"three", other: b"two", **kept}
        with platform.database.write() as connection:
            platform.desired.drop(connection, topic)
        await stand.step()
        platform.devices.remove(SYSTEM, pump.username)
        stand.keeper.compare_soon()
        await stand.step()
        assert await stand.retained() == kept
        assert rows(platform) == []

    run(platform, broker.port, work)


def test_a_broker_that_comes_up_empty_or_older_gets_only_the_differences(
    platform: App, device: Add, start_mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "persistence"
    folder.mkdir(mode=0o777)
    broker = start_mosquitto("persistence true", f"persistence_location {folder}/")
    state, older = folder / "mosquitto.db", tmp_path / "older.db"
    lamps = [device(f"lamp{n}") for n in range(5)]
    topics = [put(platform, lamp, b"%d" % n) for n, lamp in enumerate(lamps)]
    beyond = put(platform, lamps[0], b"beyond the filters", leaf="/x/y")

    async def work(stand: Stand) -> None:
        assert await stand.step() == 6
        wanted = await stand.retained()
        assert wanted == {**{t: b"%d" % n for n, t in enumerate(topics)}, beyond: wanted[beyond]}
        await asyncio.to_thread(broker.stop)
        shutil.copy(state, older)
        state.unlink()
        await asyncio.to_thread(broker.start)
        assert await stand.step() == 6
        assert await stand.retained() == wanted

        put(platform, lamps[1], b"newer", version=2)
        with platform.database.write() as connection:
            platform.desired.drop(connection, topics[4])
        assert await stand.step() == 2
        await asyncio.to_thread(broker.stop)
        shutil.copy(older, state)  # as after a crash: the broker saves from time to time
        await asyncio.to_thread(broker.start)
        assert await stand.step() == 1
        now = await stand.retained()
        assert now == {**{t: c for t, c in wanted.items() if t != topics[4]}, topics[1]: b"newer"}

    run(platform, broker.port, work)
    with platform.database.read() as connection:
        published = connection.execute(
            sa.select(counters.c.value).where(counters.c.name == "desired_published")
        ).scalar()
    assert published == 6 + 6 + 1 + 1


def test_one_that_the_broker_disconnects_for_costs_no_other(
    platform: App, device: Add, start_mosquitto: StartMosquitto
) -> None:
    broker = start_mosquitto("max_packet_size 20000")
    lamps = [device(f"lamp{n}") for n in range(4)]
    with platform.database.write() as connection:
        for lamp in lamps:
            large = b"x" * 30_000 if lamp is lamps[1] else b"small"
            topic = f"iotflow/devices/{lamp.name}/config"
            platform.desired.put(connection, topic, lamp, large, version=1, origin="test")

    async def work(stand: Stand) -> None:
        async with asyncio.timeout(30):
            while sum(not row[3] for row in rows(platform)) < 3:
                await stand.step()
                await asyncio.sleep(0.05)
        assert len(await stand.retained()) == 3
        assert stand.keeper.faults.failures >= 1

    run(platform, broker.port, work)
