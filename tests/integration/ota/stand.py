"""Updates on a database of their own, on both engines, and a device that listens on demand."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from mqtt5 import PubAckReasonCode

from mooring.app import App
from mooring.commands.moving import CommandOwner
from mooring.devices.model import Device, NewDevice
from mooring.downlink.owners import LiveOwners
from mooring.downlink.protocol import Asked, Listening
from mooring.downlink.worker import Sender
from mooring.identity.actor import SYSTEM
from mooring.ota.releases.model import NewRelease, Release, State
from mooring.ota.releases.service import Releases
from mooring.ota.releases.states import Step
from mooring.ota.updates.model import Options, Update
from mooring.ota.updates.moving import UpdateOwner
from mooring.ota.updates.service import Updates, waits_of
from mooring.ota.updates.worker import UpdateKeeper
from mooring.store.engine import now_ms
from mooring.store.schema import device_attributes, device_state, firmware_updates

OK = PubAckReasonCode.SUCCESS


class Link:
    """A connection on which every message is taken."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, dict[str, Any], bool]] = []

    async def deliver(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expires: int, within: float
    ) -> PubAckReasonCode:
        self.sent.append((topic, json.loads(payload), retain))
        return OK

    async def close(self) -> None:
        self.connected = False


class OpenGate:
    """A gate that is open for the devices a test names."""

    def __init__(self) -> None:
        self.usernames: set[str] = set()

    async def listening(self, asked: Sequence[Asked]) -> Mapping[int, Listening]:
        return {
            one.id: Listening("It listens.", "boot:1")
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
        self.updates = self.app.service(Updates)
        self.releases = self.app.service(Releases)
        self.keeper = UpdateKeeper(self.updates)
        self.numbers = itertools.count(1)
        self.sender = self.new_sender()

    def new_sender(self) -> Sender:
        """As another process has it."""
        sender = Sender(
            self.app.database,
            self.app.instance,
            self.app.endpoint("mooring-test-sender"),
            gate=self.gate,
            live=LiveOwners(
                CommandOwner(self.app.settings), (UpdateOwner(waits_of(self.app.settings)),)
            ),
            lease_ms=1,
        )
        sender._link = self.link  # type: ignore[assignment]
        return sender

    # ------------------------------------------------------------------ what exists

    def release(self, version: str = "1.5.0", product: str = "trap", **more: Any) -> Release:
        made = self.releases.create(SYSTEM, NewRelease(product, version, "home", **more))
        with self.releases.files.receive(1 << 20) as incoming:
            incoming.write(b"\x55" * 1000 + version.encode() + str(more).encode())
            self.releases.add_file(SYSTEM, str(made.id), "app.bin", incoming)
        made = self.releases.step(SYSTEM, str(made.id), Step.PUBLISH, unsigned=True)
        assert made.state is State.PUBLISHED
        return made

    def device(self, name: str = "trap", dialect: str = "mooring", **more: Any) -> Device:
        made = NewDevice(name, dialect, "home", **more)
        return self.app.devices.add(SYSTEM, made)[0].device

    def runs(self, device: Device, version: str | None = "1.4.0", **more: Any) -> None:
        """What the platform knows of a device."""
        values: dict[str, Any] = {"device_id": device.id, "firmware": version, **more}
        with self.app.database.write() as connection:
            connection.execute(sa.delete(device_state).where(device_state.c.device_id == device.id))
            connection.execute(sa.insert(device_state).values(values))

    def attribute(self, device: Device, name: str, value: Any) -> None:
        with self.app.database.write() as connection:
            connection.execute(
                sa.insert(device_attributes).values(
                    device_id=device.id,
                    name=name,
                    key=str(value),
                    tenant=device.tenant,
                    value=json.dumps(value),
                    source="person",
                    at=1,
                )
            )

    # ------------------------------------------------------------------ what is done

    def offer(self, device: Device, release: Release, **options: Any) -> Update:
        return self.updates.offer(SYSTEM, device.reference, release.reference, Options(**options))

    def listens(self, device: Device) -> None:
        self.gate.usernames.add(device.username)
        with self.app.database.write() as connection:
            self.app.downlinks.wake(connection, [device.id])

    def send(self, times: int = 1) -> None:
        async def steps() -> None:
            for _ in range(times):
                await self.sender.step()

        asyncio.run(steps())

    def keep(self) -> None:
        while self.keeper.step():
            pass

    def connects(self, device: Device, *, connected: bool = True, at: int | None = None) -> None:
        values = {"connected": connected, "connected_at": now_ms() if at is None else at}
        with self.app.database.write() as connection:
            connection.execute(
                sa.update(device_state)
                .where(device_state.c.device_id == device.id)
                .values(**values)
            )
        self.keep()

    def within(self, work: Callable[[Any], Any]) -> Any:
        with self.app.database.write() as connection:
            return work(connection)

    # ------------------------------------------------------------------ what is seen

    def now(self, update: Update) -> Update:
        return self.updates.get(SYSTEM, update.id)

    def state(self, update: Update) -> str:
        return str(self.now(update).state)

    def pass_deadline(self, update: Update, **more: Any) -> Update:
        with self.app.database.write() as connection:
            connection.execute(
                sa.update(firmware_updates)
                .where(firmware_updates.c.id == update.id)
                .values(due_at=1, **more)
            )
        self.keep()
        return self.now(update)
