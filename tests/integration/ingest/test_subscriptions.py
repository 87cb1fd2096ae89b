"""What ingest is subscribed to: dialects that overlap, that come and go, and topics of nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.broker.users import BrokerUser
from mooring.devices.service import NewDevice
from mooring.identity.account import Rights
from mooring.identity.actor import SYSTEM
from mooring.ingest import service
from mooring.ingest.service import Ingest
from mooring.ingest.sinks import open_sink
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint
from mooring.run.projections import projections_of
from mooring.settings import Settings
from mooring.store.schema import counters, dead_letters, device_state, messages
from mooring.store.versions import bump
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient

SESSION = 600
Work = Callable[[App, Ingest], Awaitable[None]]


def dialect(name: str, topic: str, *, retain: bool = False) -> str:
    return f"""
name = "{name}"
title = "{name}"
username = "{name}-{{device}}"

[placeholders]
device = "device"
site = "tenant"

[[channels]]
name = "status"
topic = "{topic}"
direction = "up"
kind = "status"
retain = {str(retain).lower()}
payload.online = "online"
""".replace('site = "tenant"\n', 'site = "tenant"\n' if "{site}" in topic else "")


class Stand:
    """A platform's database and dialects, and an ingest in this process."""

    def __init__(self, data_dir: Path, broker: Mosquitto) -> None:
        self.settings = Settings(data_dir=data_dir)
        self.broker = broker
        self.settings.dialects_dir.mkdir(parents=True)

    def write(self, name: str, topic: str, *, retain: bool = False) -> None:
        path = self.settings.dialects_dir / f"{name}.toml"
        path.write_text(dialect(name, topic, retain=retain))

    def remove(self, name: str) -> None:
        (self.settings.dialects_dir / f"{name}.toml").unlink()

    def run(
        self, work: Callable[[App, Ingest], Awaitable[None]], *, session: int = SESSION
    ) -> None:
        async def all_of_it(app: App) -> None:
            endpoint = Endpoint("127.0.0.1", self.broker.port, "anybody", "anything", "ingest")
            ingest = Ingest(
                settings=app.settings,
                database=app.database,
                catalogue=app.catalogue,
                link=MqttLink(endpoint, session_seconds=session),
                sink=open_sink(app.settings, projections_of(app)),
                projections=projections_of(app),
                client_id="ingest",
            )
            stop = asyncio.Event()
            running = asyncio.create_task(ingest.run(stop))
            try:
                async with asyncio.timeout(60):
                    await until(lambda: ingest.followed >= 0)
                    await work(app, ingest)
            finally:
                stop.set()
                await running

        with open_app(self.settings, upgrade=True) as app:
            asyncio.run(all_of_it(app))

    async def reload(self, app: App, ingest: Ingest) -> None:
        before = ingest.followed
        with app.database.write() as connection:
            bump(connection, "dialects")
        await until(lambda: ingest.followed > before)


@pytest.fixture
def stand(tmp_path: Path, broker: Mosquitto) -> Iterator[Stand]:
    yield Stand(tmp_path / "data", broker)


async def until(there: Callable[[], bool]) -> None:
    while not there():  # noqa: ASYNC110 - what is looked at is a database or a plain value
        await asyncio.sleep(0.02)


def count(app: App, table: sa.Table) -> int:
    with app.database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def counted(app: App, name: str) -> int:
    with app.database.read() as connection:
        statement = sa.select(counters.c.value).where(counters.c.name == name)
        return connection.execute(statement).scalar() or 0


def say(stand: Stand, topic: str, *payloads: object, retain: bool = False) -> None:
    with MqttClient(stand.broker.port) as client:
        for payload in payloads:
            text = payload if isinstance(payload, str) else json.dumps(payload)
            client.publish(topic, text, qos=1, retain=retain)


@pytest.mark.parametrize("first", ["narrow", "wide"])
def test_of_two_dialects_that_overlap_each_message_is_stored_once(stand: Stand, first: str) -> None:
    """Also of one that comes later, after a restart, and when the older one goes."""
    topics = {"narrow": "devices/{device}/telemetry", "wide": "{site}/{device}/telemetry"}
    second = next(name for name in topics if name != first)
    stand.write(first, topics[first])

    async def one_then_two(app: App, ingest: Ingest) -> None:
        await asyncio.to_thread(say, stand, "devices/d1/telemetry", *[{"v": 1}] * 3)
        await until(lambda: count(app, dead_letters) == 3)
        stand.write(second, topics[second])
        await stand.reload(app, ingest)
        await asyncio.to_thread(say, stand, "devices/d1/telemetry", *[{"v": 1}] * 5)
        await until(lambda: counted(app, "messages_passed_over") == 5)
        assert count(app, dead_letters) == 8

    async def after_a_restart(app: App, ingest: Ingest) -> None:
        await until(lambda: counted(app, "messages_passed_over") == 9)
        assert count(app, dead_letters) == 12
        stand.remove(first)
        await stand.reload(app, ingest)
        await asyncio.to_thread(say, stand, "devices/d1/telemetry", *[{"v": 1}] * 2)
        await until(lambda: count(app, dead_letters) == 14)
        assert counted(app, "messages_passed_over") == 9

    stand.run(one_then_two)
    say(stand, "devices/d1/telemetry", *[{"v": 1}] * 4)  # while ingest is away
    stand.run(after_a_restart)


def test_a_device_of_two_dialects_that_overlap(stand: Stand) -> None:
    """Equal readings without a time: as many rows as were sent."""
    stand.write("narrow", "devices/{device}/telemetry")
    stand.write("wide", "{site}/{device}/telemetry")
    with open_app(stand.settings, upgrade=True) as app:
        app.devices.add(SYSTEM, NewDevice("d1", "narrow", "default"))

    async def work(app: App, ingest: Ingest) -> None:
        await asyncio.to_thread(say, stand, "devices/d1/telemetry", *[{"v": 1}] * 5)
        await until(lambda: counted(app, "messages_passed_over") == 5)
        assert (count(app, messages), count(app, dead_letters)) == (5, 0)

    stand.run(work)


def test_a_device_that_sends_as_soon_as_it_is_added(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the database is not asked before every batch: see ``Sink.waits``."""
    stand.write("lamps", "lamps/{device}/status")

    async def work(app: App, ingest: Ingest) -> None:
        monkeypatch.setattr(service, "LOOK_SECONDS", 3600)
        monkeypatch.setattr(type(ingest._sink), "waits", True)
        await asyncio.to_thread(say, stand, "lamps/d1/status", {"v": 0})  # is not known yet
        await until(lambda: count(app, dead_letters) == 1)
        for name in ("d1", "d2"):
            app.devices.add(SYSTEM, NewDevice(name, "lamps", "default"))
            await asyncio.to_thread(say, stand, f"lamps/{name}/status", {"v": 1})
        await until(lambda: count(app, messages) + count(app, dead_letters) == 3)
        assert (count(app, messages), count(app, dead_letters)) == (2, 1)

    stand.run(work)


def test_a_retained_status_that_comes_again_is_no_sign_of_life(stand: Stand) -> None:
    """The dialect is removed and put back, then the session begins anew."""
    stand.write("lamps", "lamps/{device}/status", retain=True)
    with open_app(stand.settings, upgrade=True) as app:
        app.devices.add(SYSTEM, NewDevice("d1", "lamps", "default"))
    seen: list[int] = []

    def last_seen(app: App) -> int:
        with app.database.read() as connection:
            return connection.execute(sa.select(device_state.c.last_seen_at)).scalar_one()

    async def said_and_put_back(app: App, ingest: Ingest) -> None:
        await asyncio.to_thread(say, stand, "lamps/d1/status", {"online": True}, retain=True)
        await until(lambda: count(app, messages) == 1)
        seen.append(last_seen(app))
        stand.remove("lamps")
        await stand.reload(app, ingest)
        stand.write("lamps", "lamps/{device}/status", retain=True)
        await stand.reload(app, ingest)
        await until(lambda: counted(app, "messages_duplicate") == 1)
        assert (count(app, messages), last_seen(app)) == (1, seen[0])

    async def begun_anew(app: App, ingest: Ingest) -> None:
        await until(lambda: counted(app, "messages_duplicate") == 2)
        assert (count(app, messages), last_seen(app)) == (1, seen[0])
        await asyncio.to_thread(say, stand, "lamps/d1/status", "", retain=True)
        await until(lambda: counted(app, "retained_cleared") == 1)
        assert (count(app, dead_letters), last_seen(app)) == (0, seen[0])

    stand.run(said_and_put_back)
    stand.run(begun_anew, session=0)


def test_a_message_of_a_broker_user_to_a_topic_of_nobody_leaves_a_trace(stand: Stand) -> None:
    stand.write("lamps", "lamps/{device}/status")

    async def work(app: App, ingest: Ingest) -> None:
        before = ingest.followed
        rights = Rights(("gateway/#", "lamps/+/status", "lamps/d1/other"), ())
        app.broker_users.create(SYSTEM, BrokerUser("gateway", rights))
        await until(lambda: ingest.followed > before)
        for topic in ("gateway/a", "gateway/a/b", "lamps/d1/other"):
            await asyncio.to_thread(say, stand, topic, {"v": 1}, {"v": 2})
        await until(lambda: counted(app, "messages_undeclared") == 3)
        c = dead_letters.c
        with app.database.read() as connection:
            kept = connection.execute(sa.select(c.reason, c.topic, c.payload).order_by(c.id)).all()
        assert [tuple(row) for row in kept] == [
            ("undeclared_topic", topic, b'{"v": 1}')
            for topic in ("gateway/a", "gateway/a/b", "lamps/d1/other")
        ]

    stand.run(work)
