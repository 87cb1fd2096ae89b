"""Commands on a database of their own, on both engines, and a device that listens on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mqtt5 import PubAckReasonCode

from mooring.app import App, open_app
from mooring.commands.model import Command, NewCommand
from mooring.commands.moving import CommandOwner
from mooring.commands.service import Commands
from mooring.commands.worker import CommandKeeper
from mooring.devices.model import Device, NewDevice
from mooring.downlink.protocol import Asked, Listening
from mooring.downlink.worker import Sender
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import commands, device_state
from tests.support.ports import free_port

OK = PubAckReasonCode.SUCCESS
NOBODY = PubAckReasonCode.NO_MATCHING_SUBSCRIBERS


class Link:
    """A connection that answers what a test says."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, bytes, int, bool]] = []
        self.answer: Callable[[], PubAckReasonCode] = lambda: OK

    async def deliver(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expires: int, within: float
    ) -> PubAckReasonCode:
        code = self.answer()
        self.sent.append((topic, payload, expires, retain))
        return code

    async def close(self) -> None:
        self.connected = False


class OpenGate:
    """A gate that is open for the devices a test names."""

    def __init__(self) -> None:
        self.usernames: set[str] = set()
        self.session = "boot:1"

    async def listening(self, asked: Sequence[Asked]) -> Mapping[int, Listening]:
        return {
            one.id: Listening("It listens.", self.session)
            for one in asked
            if one.username in self.usernames
        }


@dataclass
class Stand:
    """A platform without processes: its parts, called step by step."""

    app: App
    link: Link = field(default_factory=Link)
    gate: OpenGate = field(default_factory=OpenGate)

    def __post_init__(self) -> None:
        self.commands = self.app.service(Commands)
        self.keeper = CommandKeeper(self.commands)
        self.sender = self.new_sender()

    def new_sender(self) -> Sender:
        sender = Sender(
            self.app.database,
            self.app.instance,
            self.app.endpoint("mooring-test-sender"),
            gate=self.gate,
            live=CommandOwner(self.app.settings),
            lease_ms=1,
        )
        sender._link = self.link  # type: ignore[assignment]
        return sender

    def device(self, name: str = "lamp", dialect: str = "mooring", **more: Any) -> Device:
        return self.app.devices.add(SYSTEM, NewDevice(name, dialect, "a", **more))[0].device

    def send(self, device: Device, name: str = "reboot", **more: Any) -> Command:
        return self.commands.send(SYSTEM, device.reference, NewCommand(name, **more))

    def listens(self, device: Device) -> None:
        self.gate.usernames.add(device.username)
        with self.app.database.write() as connection:
            self.app.downlinks.wake(connection, [device.id])

    def step(self, times: int = 1) -> None:
        async def steps() -> None:
            for _ in range(times):
                await self.sender.step()

        asyncio.run(steps())

    def keep(self) -> None:
        while self.keeper.step():
            pass

    def now(self, command: Command) -> Command:
        return self.commands.get(SYSTEM, command.id)

    def state(self, command: Command) -> str:
        return str(self.now(command).state)

    def pass_deadline(self, command: Command) -> None:
        with self.app.database.write() as connection:
            connection.execute(
                sa.update(commands).where(commands.c.id == command.id).values(due_at=1)
            )
        self.keep()

    def connection(self, device: Device, *, connected: bool, **more: Any) -> None:
        """What the platform records of a device's connection."""
        with self.app.database.write() as connection:
            connection.execute(sa.delete(device_state).where(device_state.c.device_id == device.id))
            connection.execute(
                sa.insert(device_state).values(
                    device_id=device.id, connected=connected, connected_at=now_ms() + 5, **more
                )
            )


@pytest.fixture
def stand(tmp_path: Path, migrated_url: str) -> Iterator[Stand]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        commands_max_per_device=20,
    )
    with open_app(settings, upgrade=True) as app:
        yield Stand(app)
