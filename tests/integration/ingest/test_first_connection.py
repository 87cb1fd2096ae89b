"""Ingest and its broker, started together: whoever is first waits for the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.app import App, open_app
from mooring.errors import BrokerRefusesUs, BrokerUnavailable
from mooring.ingest import service
from mooring.ingest.service import Ingest
from mooring.ingest.sinks import open_sink
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint
from mooring.run.projections import projections_of
from mooring.settings import Settings
from tests.conftest import StartMosquitto
from tests.support.migrated import copy_migrated
from tests.support.ports import free_port


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    copy_migrated(tmp_path / "data")
    with open_app(Settings(data_dir=tmp_path / "data"), upgrade=True) as app:
        yield app


def ingest_on(app: App, port: int) -> tuple[Ingest, MqttLink]:
    link = MqttLink(Endpoint("127.0.0.1", port, "anybody", "anything", "ingest"))
    ingest = Ingest(
        settings=app.settings,
        database=app.database,
        catalogue=app.catalogue,
        link=link,
        sink=open_sink(app.settings, projections_of(app)),
        projections=projections_of(app),
        client_id="ingest",
    )
    return ingest, link


def test_a_broker_that_comes_later_is_waited_for(app: App, start_mosquitto: StartMosquitto) -> None:
    port = free_port()
    ingest, link = ingest_on(app, port)
    connected = asyncio.Event()
    link.on_state = lambda now: connected.set() if now else None

    async def work() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(ingest.run(stop))
        await asyncio.sleep(0.5)
        assert not running.done()
        await asyncio.to_thread(start_mosquitto, port=port)
        async with asyncio.timeout(20):
            await connected.wait()
        stop.set()
        await running

    asyncio.run(work())


def test_while_it_waits_it_can_be_stopped(app: App) -> None:
    ingest, link = ingest_on(app, free_port())

    async def work() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(ingest.run(stop))
        await asyncio.sleep(0.5)
        stop.set()
        async with asyncio.timeout(service.CONNECT_SECONDS / 3):
            await running

    asyncio.run(work())
    assert not link.connected


def test_a_broker_that_never_comes_is_an_error(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "CONNECT_SECONDS", 0.5)
    ingest, _ = ingest_on(app, free_port())
    with pytest.raises(BrokerUnavailable, match="cannot be reached"):
        asyncio.run(ingest.run(asyncio.Event()))


def test_a_broker_that_refuses_us_is_not_waited_for(
    app: App, tmp_path: Path, start_mosquitto: StartMosquitto
) -> None:
    passwords = tmp_path / "passwd"
    passwords.touch(mode=0o600)
    broker = start_mosquitto("allow_anonymous false", f"password_file {passwords}")
    ingest, _ = ingest_on(app, broker.port)
    with pytest.raises(BrokerRefusesUs, match="rejects anybody"):
        asyncio.run(ingest.run(asyncio.Event()))
