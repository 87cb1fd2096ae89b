"""Dynamic Security as authority: single changes through its API, all at once through its file.

The API takes passwords only in clear (2.0.11 takes a hash for the password itself), so a new
secret goes over the API while it is known, and the verifier the plugin made of it is read
from its file and adopted. From then on the database holds exactly what the broker holds, and
a lost file is rebuilt from verifiers alone by ``replace``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets as random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import mqtt5

from mooring.broker import dynsec_file
from mooring.broker.connection import Connection, Endpoint
from mooring.broker.dynsec_plan import NOT_IN_FILE, UNKNOWN, Command, differences, plan
from mooring.broker.protocol import Applied, Difference, DifferenceKind
from mooring.broker.side_file import SideFile
from mooring.errors import BrokerUnavailable, Invalid
from mooring.files import write_atomically
from mooring.identity.account import Account

__all__ = ["DynsecAuthority"]

REQUEST_TOPIC = "$CONTROL/dynamic-security/v1"
RESPONSE_TOPIC = "$CONTROL/dynamic-security/v1/response"

ANSWER_SECONDS = 60.0
"""With 20,000 devices one command stalls the broker for 0.2 s, and others may be before us."""

PAGE = 500

TORN_SECONDS, TORN_PAUSE = 1.0, 0.02
"""How long a file that cannot be read may be one that is just being written: 20,000 accounts
take 0.2 s."""

BESIDE_MOST = 50
"""More verifiers than this come in quicker by ``replace``: each costs two commands."""

NOT_FOUND = frozenset({"Client not found", "Role not found"})

T = TypeVar("T")

logger = logging.getLogger(__name__)


class DynsecAuthority:
    """Accounts in Mosquitto's Dynamic Security plugin.

    Args:
        endpoint: where and as whom to reach the broker; the account needs the right to
            ``$CONTROL/dynamic-security/#``.
        service: that account as it is written into the file by ``replace``.
        file: ``dynamic-security.json``, where this process can read it; without it passwords
            cannot be compared or adopted, and ``replace`` is not possible.
        restart: stops and starts the broker and returns when it answers; ``None`` when the
            broker does not run or somebody else will start it.
        keep: usernames of others, never reported, changed or removed.
        former: names the service had with another authority. Nobody can log in with them, but
            a session the broker keeps for one is still given messages until we come back.
        beside: the password file the broker reads next to the plugin; with it a verifier comes
            into force without its password and without a restart.
    """

    replace_restarts = True

    def __init__(
        self,
        endpoint: Endpoint,
        service: Account,
        *,
        file: Path | None = None,
        restart: Callable[[], Awaitable[None]] | None = None,
        keep: Iterable[str] = (),
        beside: SideFile | None = None,
        former: Iterable[str] = (),
    ) -> None:
        self._endpoint = endpoint
        self._service = service
        self._file = file
        self._restart = restart
        self._beside = beside
        self._keep = frozenset(keep)
        self._former = frozenset(former) - {service.username}
        self._reserved = self._keep | self._former | {service.username}
        self._connection: Connection | None = None
        self._sequence = 0
        # Two processes may ask at once: their answers must not be mixed up.
        self._name = random.token_hex(4)
        self._lock = asyncio.Lock()

    async def put(
        self, accounts: Sequence[Account], secrets: Mapping[str, str] | None = None
    ) -> Applied:
        """See ``Authority.put``. Costs one or two commands an account, none if it is right."""
        return await self._exclusively(lambda: self._put(accounts, secrets or {}))

    async def remove(self, usernames: Sequence[str]) -> None:
        """See ``Authority.remove``. The plugin ends the session of a client it deletes."""
        await self._exclusively(lambda: self._remove(usernames))

    async def kick(self, usernames: Sequence[str]) -> None:
        """See ``Authority.kick``: an empty change makes the plugin disconnect the client."""
        commands: list[Command] = [
            {"command": "modifyClient", "username": name} for name in usernames
        ]
        await self._exclusively(lambda: self._send_each(commands))

    async def usernames(self) -> set[str]:
        clients = await self._exclusively(lambda: self._list("listClients", "clients"))
        enabled = {str(c["username"]) for c in clients if c.get("disabled") is not True}
        return enabled - self._reserved

    async def compare(self, accounts: Iterable[Account]) -> list[Difference]:
        """See ``Authority.compare``. Passwords are compared where the file can be read."""
        wanted = list(accounts)
        return await self._exclusively(lambda: self._compare(wanted))

    def only_by_replace(
        self, accounts: Iterable[Account], found: Iterable[Difference]
    ) -> tuple[str, ...]:
        """See ``Authority.only_by_replace``: many, or names that the additional file cannot
        contain.

        What only the file has lost is not among them: the plugin writes that again.
        """
        password = (DifferenceKind.MISSING, DifferenceKind.STALE)
        names = {d.username for d in found if d.kind in password and d.detail != NOT_IN_FILE}
        wanted = [a for a in accounts if a.verifier is not None and a.username in names]
        if self._beside is None or len(wanted) > BESIDE_MOST:
            return tuple(account.username for account in wanted)
        return tuple(a.username for a in wanted if not self._beside.can_hold(a.username))

    async def replace(self, accounts: Sequence[Account]) -> None:
        """Write the whole file and restart the broker.

        The restart disconnects everybody, so the caller announces it.

        Raises:
            BrokerUnavailable: the file's place is not known or the broker does not come back
                with these accounts.
            Unavailable: the file cannot be written.
        """
        async with self._lock:
            if self._file is None:
                raise BrokerUnavailable(
                    "The path of dynamic-security.json is not set.",
                    hint="Set the path of the broker's Dynamic Security file.",
                )
            text = await asyncio.to_thread(
                dynsec_file.render, accounts, self._service, self._kept()
            )
            await self._drop()
            # 2.0 saves after commands only, and no command can come from us before the restart.
            write_atomically(self._file, text)
            if self._beside is not None:
                self._beside.clear()
            if self._restart is None:
                return
            await self._restart()
        accepted = await self.usernames()
        if accepted != {account.username for account in accounts if not account.locked}:
            raise BrokerUnavailable(
                f"After the restart the broker has {len(accepted)} accounts, not {len(accounts)}.",
                hint="Does it read the Dynamic Security file that Mooring writes?",
            )

    async def send(self, commands: Sequence[Command]) -> list[dict[str, Any]]:
        """Any commands of the plugin's API, for operators; answers in the same order.

        Raises:
            BrokerUnavailable: not reached, or a command was rejected; something that was not
                found is not a rejection but an ``error`` in its answer.
        """
        return await self._exclusively(lambda: self._request(commands))

    async def close(self) -> None:
        """Close the connection; the next call opens it again."""
        async with self._lock:
            await self._drop()

    async def _put(self, accounts: Sequence[Account], secrets: Mapping[str, str]) -> Applied:
        blind = [a for a in accounts if a.verifier is not None and a.username not in secrets]
        held = await self._held() if blind else None
        if held is not None and any(held(a.username) != a.verifier for a in blind):
            # Perhaps only the file was lost or changed, and the plugin still has it right.
            await self._save()
            held = await self._held()
        looked = bool(blind)
        adopt: list[str] = []
        inside: set[str] = set()  # got a password in the plugin, so an additional line is void
        unknown: list[Account] = []
        for account in accounts:
            name = account.username
            client, role = await self._look_up(name)
            if client is not None and not looked:  # a new one has no password to compare
                held, looked = await self._held(), True
            stored = UNKNOWN if held is None else held(name)
            step = plan(account, client, role, stored, secrets.get(name))
            if step.impossible:
                unknown.append(account)
                continue
            if step.commands:
                await self._request(step.commands, tolerate=frozenset())
            if any("password" in command for command in step.commands):
                inside.add(name)
            if step.adopt:
                adopt.append(name)
        if self._beside is not None:
            await self._beside.drop(inside)
        adopted = await self._adopted(adopt)
        return Applied(adopted, tuple(await self._put_beside(unknown)))

    async def _put_beside(self, accounts: Sequence[Account]) -> list[str]:
        """Verifiers into the file next to the plugin, their clients without a password.

        The lines come first and do nothing while the plugin has a password; so a crash in
        between leaves a client as it was. Returns who cannot be helped this way.
        """
        beside = self._beside
        if beside is None or len(accounts) > BESIDE_MOST:
            return [account.username for account in accounts]
        lines = {
            account.username: account.verifier
            for account in accounts
            if account.verifier is not None and beside.can_hold(account.username)
        }
        await beside.put(lines)
        for account in accounts:
            if account.username in lines:
                client, role = await self._look_up(account.username)
                without = replace(account, verifier=None)
                step = plan(without, client, role, account.verifier, None)
                await self._request(step.commands, tolerate=frozenset())
        return [account.username for account in accounts if account.username not in lines]

    async def _adopted(self, usernames: Sequence[str]) -> dict[str, str]:
        """The verifiers the plugin made, where they can be read."""
        held = await self._held() if usernames else None
        if held is None:
            return {}
        return {name: verifier for name in usernames if (verifier := held(name)) is not None}

    async def _remove(self, usernames: Sequence[str]) -> None:
        if self._beside is not None:
            await self._beside.drop(set(usernames) - self._reserved)
        for name in usernames:
            if name in self._reserved:
                continue
            await self._request(
                [
                    {"command": "deleteClient", "username": name},
                    *(
                        {"command": "deleteRole", "rolename": role}
                        for role in sorted(
                            {dynsec_file.role_name(name), dynsec_file.former_role_name(name)}
                        )
                    ),
                ]
            )

    async def _compare(self, accounts: list[Account]) -> list[Difference]:
        clients = {c["username"]: c for c in await self._list("listClients", "clients")}
        roles = {r["rolename"]: r for r in await self._list("listRoles", "roles")}
        held = await self._held()
        found: list[Difference] = []
        for number, account in enumerate(accounts):
            if number % PAGE == 0:
                await asyncio.sleep(0)  # ten thousand take a while, and others wait
            name = account.username
            stored = UNKNOWN if held is None else held(name)
            role = roles.get(dynsec_file.role_name(name))
            found += differences(account, clients.get(name), role, stored)
        known = {account.username for account in accounts} | self._reserved
        for name, client in clients.items():
            if name not in known:
                detail = "disabled on the broker" if client.get("disabled") is True else ""
                found.append(Difference(DifferenceKind.EXTRA, name, detail))
        lines = self._beside.lines() if self._beside is not None else {}
        for name in sorted(lines.keys() - known - clients.keys()):
            found.append(
                Difference(
                    DifferenceKind.EXTRA, name, "only a line in the additional password file"
                )
            )
        # A crash between deleteClient and deleteRole leaves a role that nobody holds.
        ours = {dynsec_file.role_name(name) for name in known} | set(dynsec_file.BUILT_IN_ROLES)
        held_by_somebody = ours | clients.keys()
        for name, role in roles.items():
            if role.get("textname") == dynsec_file.MARK and name not in held_by_somebody:
                username = dynsec_file.username_of_role(name)
                if username not in clients:
                    found.append(Difference(DifferenceKind.EXTRA, username, "only its role"))
        return found

    async def _save(self) -> None:
        """Makes the plugin write its file; says what is so anyway and disconnects nobody."""
        acls = [{"acltype": "unsubscribe", "allow": True}]
        await self._request([{"command": "setDefaultACLAccess", "acls": acls}])

    async def _look_up(self, name: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        answers = await self._request(
            [
                {"command": "getClient", "username": name},
                {"command": "getRole", "rolename": dynsec_file.role_name(name)},
            ]
        )
        return _data(answers[0], "client"), _data(answers[1], "role")

    async def _list(self, command: str, key: str) -> list[dict[str, Any]]:
        """Everything the plugin has of a kind, page by page.

        A client added or removed between two pages may be missing or twice; the caller
        compares again on its schedule.
        """
        found: list[dict[str, Any]] = []
        while True:
            answer = await self._request(
                [{"command": command, "verbose": True, "count": PAGE, "offset": len(found)}]
            )
            data = answer[0].get("data", {})
            page = data.get(key, [])
            found += page
            if not page or len(found) >= data.get("totalCount", 0):
                return found

    async def _send_each(self, commands: Sequence[Command]) -> None:
        for command in commands:
            await self._request([command])

    async def _request(
        self, commands: Sequence[Command], *, tolerate: frozenset[str] = NOT_FOUND
    ) -> list[dict[str, Any]]:
        """Send commands in one message; one answer for each, in order."""
        connection = self._connection
        assert connection is not None  # set by _exclusively
        self._sequence += 1
        mark = f"{self._name}-{self._sequence}"
        marked = [{**command, "correlationData": mark} for command in commands]
        await connection.publish(REQUEST_TOPIC, json.dumps({"commands": marked}).encode())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answers = await self._answers(connection, mark, len(commands))
        except TimeoutError as exc:
            raise BrokerUnavailable(
                f"Dynamic Security did not answer within {ANSWER_SECONDS:g} s.",
                hint="Is the plugin loaded?",
                code="dynsec_silent",
            ) from exc
        for answer in answers:
            error = answer.get("error")
            if error is not None and error not in tolerate:
                raise BrokerUnavailable(
                    f"Dynamic Security rejected {answer.get('command')}: {error}.",
                    code="dynsec_refused",
                )
        return answers

    async def _answers(
        self, connection: Connection, mark: str, number: int
    ) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        while len(answers) < number:
            packet = await connection.read()
            if isinstance(packet, mqtt5.PubAckPacket) and int(packet.reason_code) >= 128:
                raise BrokerUnavailable(
                    "The broker does not allow Mooring to change accounts.",
                    hint=f"Its account needs the right to {dynsec_file.CONTROL_TOPICS}.",
                    code="broker_refused",
                )
            if isinstance(packet, mqtt5.PublishPacket) and packet.topic == RESPONSE_TOPIC:
                # Every administrator's answers come here; ours carry our mark.
                responses = json.loads(packet.payload)["responses"]
                answers += [r for r in responses if r.get("correlationData") == mark]
        return answers

    async def _exclusively(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` alone on an open connection; again when that one had died.

        Every operation is idempotent, so repeating one of which only the answer was lost
        does no harm.
        """
        async with self._lock:
            reused = self._connection is not None
            try:
                return await self._connected(work)
            except BrokerUnavailable as exc:
                await self._drop()
                if not reused or exc.slug != BrokerUnavailable.code:
                    raise
            return await self._connected(work)

    async def _connected(self, work: Callable[[], Awaitable[T]]) -> T:
        if self._connection is None:
            connection = await Connection.open(self._endpoint, keep_alive=0)
            self._connection = connection
            await connection.subscribe([RESPONSE_TOPIC])
        return await work()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _held(self) -> Callable[[str], str | None] | None:
        """Username → verifier as the plugin has saved them; ``None`` if that is not known.

        The plugin saves before it answers, so this is never older than the last answer.
        """
        return await asyncio.to_thread(self._read_passwords)

    def _read_passwords(self) -> Callable[[str], str | None] | None:
        lines = self._beside.lines() if self._beside is not None else {}
        deadline = time.monotonic() + TORN_SECONDS
        while True:
            text = self._read()
            if text is None and (self._file is None or self._file.exists()):
                return None
            try:
                inside = dynsec_file.passwords(text if text is not None else b"{}")
            except Invalid as exc:
                # 2.0 writes in place: a command of somebody else's may be half-way through.
                if time.monotonic() < deadline:
                    time.sleep(TORN_PAUSE)
                    continue
                logger.warning("%s contains no accounts: %s", self._file, exc.message)
                inside = dynsec_file.passwords(b"{}")
            return lambda name: inside(name) or lines.get(name)

    def _kept(self) -> dynsec_file.Foreign:
        text = self._read() if self._keep else None
        others = dynsec_file.Foreign()
        if text is not None:
            others = dynsec_file.foreign(text.decode(), self._keep)
        return replace(
            others, clients=(*others.clients, *map(dynsec_file.former_service, self._former))
        )

    def _read(self) -> bytes | None:
        if self._file is None:
            return None
        try:
            return self._file.read_bytes()
        except (FileNotFoundError, PermissionError):  # lost, or on another machine or user
            return None


def _data(answer: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    found = answer.get("data", {}).get(key)
    return found if isinstance(found, dict) else None
