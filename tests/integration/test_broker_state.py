"""A state file of the broker's that a power cut left damaged: set aside, and the broker starts.

On the Mosquitto that ``MOORING_TEST_MOSQUITTO`` names, where it names one.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from mooring.broker.config import BrokerConfig, Listener, PasswordFile, render
from mooring.broker.connection import Endpoint, answers
from mooring.broker.process import BrokerProcess
from mooring.broker.state_file import SET_ASIDE_MAX
from mooring.errors import BrokerUnavailable
from mooring.secrets import verifiers
from tests.support.mqtt import MqttClient
from tests.support.ports import free_port


class Stand:
    """One Mosquitto with a queue, a session and retained messages on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.state = folder / "mosquitto.db"
        (folder / "passwd").write_text(f"one:{verifiers.make('secret')}\n")
        (folder / "acl").write_text("user one\ntopic readwrite #\n")
        for name in ("passwd", "acl"):
            (folder / name).chmod(0o600)
        self.config = folder / "mosquitto.conf"
        self.write("passwd")

    def write(self, passwords: str) -> None:
        config = BrokerConfig(
            listeners=(Listener(self.port),),
            access=PasswordFile(self.folder / passwords, self.folder / "acl"),
            persistence=self.folder,
            log=self.folder / "broker.log",
            run_as_root=os.geteuid() == 0,
        )
        self.config.write_text(render(config))

    def process(self) -> BrokerProcess:
        named = os.environ.get("MOORING_TEST_MOSQUITTO")
        return BrokerProcess(
            self.config,
            Endpoint(port=self.port, username="one", password="secret"),
            listens=[("127.0.0.1", self.port)],
            binary=Path(named) if named else None,
            state=self.state,
        )

    def connect(self, client_id: str, *, clean: bool = True) -> MqttClient:
        client = MqttClient(
            self.port, username="one", password="secret", client_id=client_id, clean=clean
        )
        client.connect()
        return client

    def set_aside(self) -> list[Path]:
        return list(self.folder.glob("mosquitto.db.damaged-*"))

    async def fill(self) -> bytes:
        """The state file after an orderly stop."""
        process = self.process()
        await process.begin()
        try:
            await asyncio.to_thread(self._speak)
        finally:
            await process.stop()
        return self.state.read_bytes()

    def _speak(self) -> None:
        absent = self.connect("absent", clean=False)
        absent.subscribe("queued/#", qos=1)
        absent.disconnect()
        client = self.connect("speaker")
        for number in range(20):
            client.publish(f"queued/{number}", "x" * 50, qos=1)
            client.publish(f"kept/{number}", "y" * 50, qos=1, retain=True)
        client.disconnect()


def test_cut_at_any_length_it_starts(tmp_path: Path) -> None:
    async def run() -> None:
        stand = Stand(tmp_path)
        content = await stand.fill()
        set_aside = 0
        lengths = sorted({0, 1, 14, 15, 23, len(content) - 1, *range(16, len(content), 500)})
        for length in lengths:
            stand.state.write_bytes(content[:length])
            process = stand.process()
            try:
                await process.begin()
                assert await answers(process.ready, within=10), length
            finally:
                await process.stop()
            if process.set_aside is not None:
                set_aside += 1
                assert process.set_aside.read_bytes() == content[:length]
        assert set_aside, "no cut was noticed"
        assert len(stand.set_aside()) <= SET_ASIDE_MAX

    asyncio.run(run())


def test_a_broker_that_cannot_start_for_another_reason_keeps_its_state(tmp_path: Path) -> None:
    async def run() -> None:
        stand = Stand(tmp_path)
        content = await stand.fill()
        with stand.config.open("a") as file:
            file.write("no_such_option true\n")
        process = stand.process()
        with pytest.raises(BrokerUnavailable):
            await process.begin()
        await process.stop()
        assert process.set_aside is None
        assert stand.state.read_bytes() == content
        assert not stand.set_aside()

    asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_broker_that_is_ended_while_it_starts_keeps_its_state(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Out of memory, or stopped by somebody, right after the start."""

    async def run() -> None:
        stand = Stand(tmp_path)
        content = await stand.fill()
        process = stand.process()
        once = tmp_path / "mosquitto"
        once.write_text(
            "#!/bin/sh\n"
            f'[ -e "$0.ended" ] && exec "{process.binary}" "$@"\n'
            f'touch "$0.ended"\nkill -{number.value} $$\n'
        )
        once.chmod(0o755)
        process._binary = once
        with pytest.raises(BrokerUnavailable) as caught:
            await process.begin()
        assert caught.value.slug == "broker_ended"
        assert stand.state.read_bytes() == content
        await process.begin()
        await process.stop()
        assert stand.set_aside() == []

    asyncio.run(run())
