"""Proving an authority before the switch: a broker of its own on a spare loopback port.

Passwords are not known, so the proof has two halves. The target's files are written from the
database and read back: every verifier must come out byte for byte. Then the same files are
written again with one known password for everybody, a broker reads them, and every
account logs in under its own name and tries all it may do, and some of what it may not.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mqtt5

from mooring.broker import access_list, dynsec_file, password_lines
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
from mooring.broker.migrate import Mode
from mooring.broker.password_file import PasswordFileAuthority
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.plugin_file import AccountsFile
from mooring.broker.process import BrokerProcess
from mooring.dialects.topics import topic_matches
from mooring.errors import BrokerUnavailable
from mooring.files import write_atomically
from mooring.identity.account import Account
from mooring.secrets import verifiers

__all__ = ["Proof", "Rehearsal"]

AT_ONCE = 24
WRONG_PASSWORDS = 20  # accounts that are also tried with another password
FREE_WORD = "rehearsal"  # stands in for a wildcard


@dataclass(frozen=True, slots=True)
class Proof:
    """What the rehearsal found.

    Attributes:
        accounts: how many logged in, or were rejected as they should be.
        publishes, subscribes: how many topics were tried.
        problems: username → what was not as it should be; empty when all is proved.
    """

    accounts: int
    publishes: int
    subscribes: int
    problems: dict[str, str]


class Rehearsal:
    """One rehearsal in a folder of its own, which the caller removes.

    Args:
        to: the authority to prove.
        folder: empty, for this process alone.
        service: the platform's own login on the target, with ``password``.
        mosquitto: the program.
        library: what the broker loads for it; ``None`` for the password file.
    """

    def __init__(
        self,
        to: Mode,
        folder: Path,
        service: Account,
        password: str,
        *,
        mosquitto: Path,
        library: Path | None = None,
    ) -> None:
        self._to = to
        self._folder = folder
        self._service = service
        self._library = library
        self._secret = verifiers.new_password()
        self._port = _spare_port()
        self._endpoint = Endpoint(port=self._port, username=service.username, password=password)
        self._process = BrokerProcess(
            folder / "mosquitto.conf",
            self._endpoint,
            listens=[("127.0.0.1", self._port)],
            binary=mosquitto,
        )

    async def run(self, accounts: Sequence[Account], told: Callable[[int], None]) -> Proof:
        """Proves every account.

        Args:
            told: called with how many accounts are through.

        Raises:
            BrokerUnavailable: the rehearsal's broker does not start or does not answer.
        """
        problems = await self._verifiers(accounts)
        known = verifiers.make(self._secret)
        twins = [replace(account, verifier=known) for account in accounts]
        await self._write(self._folder, twins)
        self._configure()
        await self._process.start()
        try:
            await self._process.wait_ready()
            trials = _Trials(self._endpoint, self._secret, twins, told)
            await trials.run()
        finally:
            await self._process.stop()
        return Proof(len(accounts), trials.publishes, trials.subscribes, problems | trials.problems)

    async def _verifiers(self, accounts: Sequence[Account]) -> dict[str, str]:
        """Writes the target's files as they will be, and reads every verifier back."""
        folder = self._folder / "true"
        folder.mkdir(mode=0o700)
        await self._write(folder, accounts)
        found = await asyncio.to_thread(self._read_back, folder)
        return {
            account.username: "its password would differ"
            for account in accounts
            if not account.locked and found(account.username) != account.verifier
        }

    def _read_back(self, folder: Path) -> Callable[[str], str | None]:
        if self._to is Mode.PLUGIN:
            held, _ = AccountsFile(_accounts(folder), self._service).held()
            return {name: row.verifier for name, row in held.items()}.get
        if self._to is Mode.DYNAMIC_SECURITY:
            return dynsec_file.passwords(_dynsec(folder).read_bytes())
        text = _passwords(folder).read_text(encoding="utf-8")
        access_list.parse(_acl(folder).read_text(encoding="utf-8"))
        return password_lines.parse(text).get

    async def _write(self, folder: Path, accounts: Sequence[Account]) -> None:
        if self._to is Mode.PLUGIN:
            plugin = PluginAuthority(_accounts(folder), self._service, endpoint=None)
            await plugin.replace(accounts)
            await plugin.close()
        elif self._to is Mode.DYNAMIC_SECURITY:
            dynsec = DynsecAuthority(self._endpoint, self._service, file=_dynsec(folder))
            await dynsec.replace(accounts)
        else:
            files = PasswordFileAuthority(_passwords(folder), _acl(folder), self._service)
            await files.replace(accounts)

    def _configure(self) -> None:
        access: Access
        if self._to is Mode.PLUGIN:
            assert self._library is not None
            access = Plugin(self._library, _accounts(self._folder))
        elif self._to is Mode.DYNAMIC_SECURITY:
            assert self._library is not None
            access = DynamicSecurity(self._library, _dynsec(self._folder))
        else:
            access = PasswordFile(_passwords(self._folder), _acl(self._folder))
        config = BrokerConfig(
            listeners=(Listener(self._port),),
            access=access,
            persistence=self._folder,
            log=self._folder / "mosquitto.log",
            run_as_root=os.geteuid() == 0,
        )
        write_atomically(self._folder / "mosquitto.conf", render(config))


class _Trials:
    """Every account in turn, some at once."""

    def __init__(
        self,
        service: Endpoint,
        secret: str,
        accounts: Sequence[Account],
        told: Callable[[int], None],
    ) -> None:
        self._service = service
        self._secret = secret
        self._accounts = accounts
        self._told = told
        self._next = 0
        self._through = 0
        self.publishes = 0
        self.subscribes = 0
        self.problems: dict[str, str] = {}

    async def run(self) -> None:
        await asyncio.gather(*(self._work() for _ in range(AT_ONCE)))

    async def _work(self) -> None:
        async with await Connection.open(self._service, keep_alive=0) as service:
            while self._next < len(self._accounts):
                number, self._next = self._next, self._next + 1
                account = self._accounts[number]
                problem = await self._try(number, account, service)
                if problem:
                    self.problems[account.username] = problem
                self._through += 1
                self._told(self._through)

    async def _try(self, number: int, account: Account, service: Connection) -> str:
        """What is wrong with one account; empty when nothing is."""
        endpoint = replace(self._service, username=account.username, password=self._secret)
        # Client ids that begin with "mooring-" are the platform's own.
        client_id = account.client_id or f"rehearsal-{number}"
        if account.locked:
            locked = await _gets_in(endpoint, client_id)
            return "it is locked but would be accepted" if locked else ""
        if number < WRONG_PASSWORDS and await _gets_in(
            replace(endpoint, password=verifiers.new_password()), client_id
        ):
            return "it would be accepted with a wrong password"
        try:
            connection = await Connection.open(endpoint, client_id=client_id)
        except BrokerUnavailable as exc:
            if exc.slug != "broker_refused":
                raise
            return "it would be rejected"
        async with connection:
            return await self._rights(number, account, connection, service)

    async def _rights(
        self, number: int, account: Account, connection: Connection, service: Connection
    ) -> str:
        rights = account.rights
        for topic in map(_filled, rights.publish):
            self.publishes += 1
            if not await _acknowledged(connection, topic):
                return f"it could not publish to {topic}"
        other = self._accounts[(number + 1) % len(self._accounts)].rights
        for topic in map(_filled, other.publish[:1]):
            if not _covered(topic, rights.publish) and await _acknowledged(connection, topic):
                return f"it might publish to {topic}, which belongs to another account"
        foreign = [t for t in other.subscribe[:1] if not _covered(_filled(t), rights.subscribe)]
        return await self._subscriptions(account, foreign, connection, service)

    async def _subscriptions(
        self, account: Account, foreign: list[str], connection: Connection, service: Connection
    ) -> str:
        # Firmware subscribes to a part of what it may read, too.
        inside = (f"{one[:-1]}{FREE_WORD}/#" for one in account.rights.subscribe if _is_prefix(one))
        own = (*account.rights.subscribe, *inside)
        try:
            if own:
                await connection.subscribe(own)
        except BrokerUnavailable as exc:
            if exc.slug != "broker_refused":
                raise
            return f"it could not subscribe: {exc.message}"
        for topic in foreign:
            try:
                await connection.subscribe([topic])
            except BrokerUnavailable as exc:
                if exc.slug != "broker_refused":  # one authority rejects, the other is silent
                    raise
        expected = {_filled(topic) for topic in own}
        for topic in (*expected, *map(_filled, foreign)):
            await _acknowledged(service, topic)
        got = await _received(connection)
        self.subscribes += len(own)
        if not expected <= got:
            return f"it would not receive {min(expected - got)}"
        strange = {topic for topic in got if not _covered(topic, own)}
        return (
            f"it would receive {min(strange)}, which belongs to another account" if strange else ""
        )


async def _gets_in(endpoint: Endpoint, client_id: str) -> bool:
    try:
        connection = await Connection.open(endpoint, client_id=client_id)
    except BrokerUnavailable as exc:
        if exc.slug != "broker_refused":
            raise
        return False
    await connection.close()
    return True


async def _acknowledged(connection: Connection, topic: str) -> bool:
    """Sends one message; whether that was allowed, as MQTT 5 says it. [MQTT5-3.4.2.1]"""
    await connection.publish(topic, b"{}")
    while True:
        packet = await connection.read()
        if isinstance(packet, mqtt5.PubAckPacket):
            return int(packet.reason_code) < 128


async def _received(connection: Connection) -> set[str]:
    """Topics of everything that came so far: a ping's answer is behind all of it."""
    await connection.ping()
    topics: set[str] = set()
    while True:
        packet: Any = await connection.read()
        if isinstance(packet, mqtt5.PingRespPacket):
            return topics
        if isinstance(packet, mqtt5.PublishPacket):
            topics.add(packet.topic)


def _filled(topic: str) -> str:
    """A topic that the filter covers."""
    return "/".join(FREE_WORD if level in ("+", "#") else level for level in topic.split("/"))


def _is_prefix(topic: str) -> bool:
    return topic.endswith("/#")


def _covered(topic: str, filters: Sequence[str]) -> bool:
    return any(topic_matches(one, topic) for one in filters)


def _accounts(folder: Path) -> Path:
    return folder / "accounts.db"


def _dynsec(folder: Path) -> Path:
    return folder / "dynamic-security.json"


def _passwords(folder: Path) -> Path:
    return folder / "passwd"


def _acl(folder: Path) -> Path:
    return folder / "acl"


def _spare_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
