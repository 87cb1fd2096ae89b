"""A reload that is known to be through, on a real Mosquitto."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mooring.broker.connection import Endpoint
from mooring.broker.reload import by_pid
from mooring.errors import BrokerUnavailable
from mooring.wiring import reloading
from mooring.wiring.reloading import reload_and_wait
from tests.support.mosquitto import Mosquitto

StartMosquitto = Callable[..., Mosquitto]


@pytest.fixture
def broker(start_mosquitto: StartMosquitto, tmp_path: Path) -> Mosquitto:
    started = start_mosquitto("log_type all", f"log_dest file {tmp_path / 'broker.log'}")
    asyncio.run(_answering(started))
    return started


async def _answering(broker: Mosquitto) -> None:
    from mooring.broker.connection import answers

    assert await answers(Endpoint(port=broker.port), within=20)


def test_it_returns_when_the_broker_has_read_its_files(broker: Mosquitto, tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    asyncio.run(reload_and_wait(by_pid(lambda: broker.pid), log, Endpoint(port=broker.port)))
    assert log.read_text().count("Reloading config") == 1
    assert broker.running


def test_a_lost_signal_is_sent_again(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "ATTEMPT_SECONDS", 1.0)
    sent = 0

    async def signal() -> None:
        nonlocal sent
        sent += 1
        if sent == 2:
            broker.reload()

    log = tmp_path / "broker.log"
    asyncio.run(reload_and_wait(signal, log, Endpoint(port=broker.port)))
    assert sent == 2
    assert log.read_text().count("Reloading config") == 1


def test_a_broker_that_does_not_reload_is_named(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "ATTEMPT_SECONDS", 0.05)

    async def nothing() -> None:
        return None

    with pytest.raises(BrokerUnavailable) as caught:
        asyncio.run(reload_and_wait(nothing, tmp_path / "broker.log", Endpoint(port=broker.port)))
    assert caught.value.slug == "broker_not_reloaded"
    assert "broker.log" in caught.value.hint
