"""A Mosquitto of its own for each test, with one authority or the other in charge."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mqtt5

from mooring.broker import dynsec_file
from mooring.broker.config import (
    Access,
    BrokerConfig,
    DynamicSecurity,
    Listener,
    PasswordFile,
    Plugin,
    render,
)
from mooring.broker.connection import Connection, Endpoint
from mooring.broker.dynsec import DynsecAuthority
from mooring.broker.installation import find_dynsec_plugin, find_mosquitto
from mooring.broker.password_file import PasswordFileAuthority
from mooring.broker.plugin.build import LIBRARY_FOLDER, build, find_library
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.plugin_file import AccountsFile
from mooring.broker.process import BrokerProcess
from mooring.broker.protocol import Authority
from mooring.broker.reload import by_pid
from mooring.broker.versions import installed, patterns_span_levels
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers
from tests.support.ports import free_port

SERVICE_PASSWORD = "for-the-service"
EVERYTHING = Rights(("#",), ("#", "$SYS/#"))


class Stand:
    """A broker with its authority, and clients to try them with."""

    authority: Authority
    file: Path  # where accounts are kept

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.own_port = free_port(), free_port()  # the devices', the platform's
        self.service = Account("mooring-service", verifiers.make(SERVICE_PASSWORD), EVERYTHING)
        self.endpoint = Endpoint(
            port=self.own_port, username=self.service.username, password=SERVICE_PASSWORD
        )
        self.process = BrokerProcess(
            folder / "mosquitto.conf",
            self.endpoint,
            listens=[("127.0.0.1", self.port), ("127.0.0.1", self.own_port)],
        )
        self.log = folder / "broker.log"
        self.secrets: dict[str, str] = {}

    def configure(self, access: Access) -> None:
        config = BrokerConfig(
            listeners=(
                Listener(self.port, client_id_is_username=isinstance(access, PasswordFile)),
                Listener(self.own_port),
            ),
            access=access,
            persistence=self.folder,
            log=self.log,
            log_types=("error", "warning", "notice", "information", "subscribe", "debug"),
            run_as_root=os.geteuid() == 0,
        )
        self.process.config.write_text(render(config))

    def account(self, username: str, *, secret: str | None = None, **rights: Any) -> Account:
        """An account whose password is ``secret``, remembered for ``connect``."""
        secret = secret or verifiers.new_password()
        self.secrets[username] = secret
        return Account(username, verifiers.make(secret), Rights(**rights))

    def device(self, name: str) -> Account:
        """A device with the rights of a typical dialect."""
        return self.account(
            name,
            publish=(f"m/{name}/up", f"m/{name}/event/+"),
            subscribe=(f"m/{name}/down", f"m/{name}/command/+"),
        )

    async def put(self, *accounts: Account) -> list[Account]:
        """Put as the reconciler does: with secrets, and adopting what the broker made."""
        applied = await self.authority.put(accounts, self.secrets)
        assert not applied.needs_replace
        return adopt(accounts, applied.adopted)

    async def connect(
        self, username: str, password: str | None = None, *, client_id: str | None = None
    ) -> Connection:
        # Client ids that begin with "mooring-" are the platform's own.
        return await Connection.open(
            Endpoint(
                port=self.port, username=username, password=password or self.secrets[username]
            ),
            client_id=client_id or f"client-{secrets.token_hex(8)}",
        )

    async def connect_service(self) -> Connection:
        return await Connection.open(self.endpoint)

    async def try_to_subscribe(self, connection: Connection, pattern: str) -> None:
        try:
            await connection.subscribe([pattern])
        except BrokerUnavailable as exc:
            assert exc.slug == "broker_refused"

    def with_former(self, name: str) -> Authority:
        """The authority of a service that had another name before."""
        raise NotImplementedError

    def lose_the_accounts(self) -> None:
        """Make the file as it is when nothing but Mooring's own account is known."""
        raise NotImplementedError

    async def refused(
        self, username: str, password: str | None = None, *, client_id: str | None = None
    ) -> bool:
        try:
            connection = await self.connect(username, password, client_id=client_id)
        except BrokerUnavailable as exc:
            assert exc.slug == "broker_refused"
            return True
        await connection.close()
        return False

    def run(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start the broker, run ``body``, stop the broker whatever happens."""

        async def main() -> None:
            try:
                await self.process.start()
                await self.process.wait_ready()
                await body()
            finally:
                await self.close()
                await self.process.stop()

        asyncio.run(main())

    async def close(self) -> None: ...


class DynsecStand(Stand):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file = folder / "dynamic-security.json"
        self.configure(DynamicSecurity(find_dynsec_plugin(), self.file))
        self.file.write_text(dynsec_file.render([], self.service))
        self.file.chmod(0o600)
        self.authority = self.dynsec = DynsecAuthority(
            self.endpoint, self.service, file=self.file, restart=self.process.restart
        )

    def with_former(self, name: str) -> Authority:
        self.authority = self.dynsec = DynsecAuthority(
            self.endpoint,
            self.service,
            file=self.file,
            restart=self.process.restart,
            former=[name],
        )
        return self.authority

    def lose_the_accounts(self) -> None:
        self.file.write_text(dynsec_file.render([], self.service))

    async def close(self) -> None:
        await self.dynsec.close()


class PasswordFileStand(Stand):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file = folder / "passwd"
        self.acl = folder / "acl"
        self.configure(PasswordFile(self.file, self.acl))
        self.reload = by_pid(lambda: self.process.pid)
        asyncio.run(PasswordFileAuthority(self.file, self.acl, self.service).replace([]))
        self.authority = self.files = PasswordFileAuthority(
            self.file,
            self.acl,
            self.service,
            reload=self.reload,
            endpoint=self.endpoint,
            debounce=0.05,
            spanning=patterns_span_levels(installed(find_mosquitto())),
        )

    def with_former(self, name: str) -> Authority:
        self.authority = self.files = PasswordFileAuthority(
            self.file,
            self.acl,
            self.service,
            reload=self.reload,
            endpoint=self.endpoint,
            debounce=0.05,
            former=[name],
        )
        return self.authority

    def lose_the_accounts(self) -> None:
        self.file.write_text("")
        self.acl.write_text("")


class PluginStand(Stand):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file = folder / "accounts.db"
        self.configure(Plugin(plugin_library(), self.file))
        AccountsFile(self.file, self.service).replace([])
        self.authority = self.plugin = PluginAuthority(
            self.file, self.service, endpoint=self.endpoint
        )

    def with_former(self, name: str) -> Authority:
        self.authority = self.plugin = PluginAuthority(
            self.file, self.service, endpoint=self.endpoint, former=[name]
        )
        return self.authority

    def lose_the_accounts(self) -> None:
        AccountsFile(self.file, self.service).replace([])

    async def close(self) -> None:
        await self.plugin.close()


def plugin_library() -> Path:
    """Built once, next to the sources."""
    return find_library() or build(LIBRARY_FOLDER)


def adopt(accounts: Sequence[Account], adopted: Any) -> list[Account]:
    return [replace(a, verifier=adopted.get(a.username, a.verifier)) for a in accounts]


async def publish(connection: Connection, topic: str, payload: bytes = b"x") -> bool:
    """Send at QoS 1; whether the broker says it was allowed."""
    await connection.publish(topic, payload)
    while True:
        packet = await connection.read()
        if isinstance(packet, mqtt5.PubAckPacket):
            return int(packet.reason_code) < 128


async def received(connection: Connection) -> list[str]:
    """Topics of everything that came so far: a ping's answer is behind all of it."""
    await connection.ping()
    topics = []
    while True:
        packet = await connection.read()
        if isinstance(packet, mqtt5.PingRespPacket):
            return topics
        if isinstance(packet, mqtt5.PublishPacket):
            topics.append(packet.topic)


async def alive(connection: Connection) -> bool:
    """Whether the session still stands."""
    try:
        await received(connection)
    except BrokerUnavailable:
        return False
    return True


async def ends(connection: Connection) -> None:
    """Wait until the broker has ended the session."""
    async with asyncio.timeout(10):
        try:
            while True:
                await connection.read()
        except BrokerUnavailable:
            return
