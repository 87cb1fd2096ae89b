"""The authority the broker asks: a file of accounts that Mooring's plugin reads.

A change is written, the plugin is woken by a message on its control topic and answers which
change is in force: then the call returns. Nothing is polled and nothing is reloaded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mooring.broker.connection import Endpoint
from mooring.broker.plugin_control import PluginControl
from mooring.broker.plugin_file import AccountsFile, FileLost, Held
from mooring.broker.plugin_rights import filled
from mooring.broker.protocol import Applied, Difference, DifferenceKind
from mooring.errors import BrokerUnavailable
from mooring.identity.account import NO_QUOTA, Account, Quota

__all__ = ["PluginAuthority"]

PAGE = 2_000

log = logging.getLogger(__name__)

T = TypeVar("T")


class PluginAuthority:
    """Accounts in ``accounts.db``, looked up by the plugin when a client connects.

    Args:
        file: ``accounts.db``; the broker's configuration names the same.
        service: the platform's own account, always accepted.
        endpoint: where the broker answers it; ``None`` before the broker runs: the file is
            written and nobody is asked.
        former: names the service had with another authority; nobody's.
    """

    replace_restarts = False

    def __init__(
        self,
        file: Path,
        service: Account,
        *,
        endpoint: Endpoint | None,
        former: Iterable[str] = (),
    ) -> None:
        self._service = service
        self._reserved = frozenset(former) | {service.username}
        self._file = AccountsFile(file, service)
        self._turn = asyncio.Lock()  # one thread at a time has the file
        self.control = None if endpoint is None else PluginControl(endpoint)

    async def put(
        self, accounts: Sequence[Account], secrets: Mapping[str, str] | None = None
    ) -> Applied:
        """See ``Authority.put``. Of a file that was lost only ``replace`` knows all accounts."""
        try:
            await self._change(lambda: self._file.put(accounts))
        except FileLost:
            return Applied(needs_replace=tuple(account.username for account in accounts))
        return Applied()

    async def remove(self, usernames: Sequence[str]) -> None:
        names = [name for name in usernames if name not in self._reserved]
        await self._change_if_there(lambda: self._file.remove(names))

    async def kick(self, usernames: Sequence[str]) -> None:
        await self._change_if_there(lambda: self._file.kick(usernames))

    async def usernames(self) -> set[str]:
        try:
            return await self._in_thread(self._file.usernames) - self._reserved
        except FileLost:
            return set()

    async def compare(self, accounts: Iterable[Account]) -> list[Difference]:
        wanted = list(accounts)
        try:
            held, rights = await self._in_thread(self._file.held)
            tenants = await self._in_thread(self._file.tenants)
        except FileLost as exc:
            return [Difference(DifferenceKind.MISSING, a.username, str(exc)) for a in wanted]
        found: list[Difference] = []
        for number, account in enumerate(wanted):
            if number % PAGE == 0:
                await asyncio.sleep(0)
            found += _differences(account, held.pop(account.username, None), rights)
            if account.tenant and tenants.get(account.tenant, NO_QUOTA) != account.tenant_quota:
                tenants[account.tenant] = account.tenant_quota  # told once
                found.append(_limits(account.username, "limits of the tenant"))
        return found + [
            Difference(DifferenceKind.EXTRA, name) for name in held if name not in self._reserved
        ]

    def only_by_replace(
        self,
        accounts: Iterable[Account],
        found: Iterable[Difference],
    ) -> tuple[str, ...]:
        """None: the file takes verifiers."""
        return ()

    async def replace(self, accounts: Sequence[Account]) -> None:
        """See ``Authority.replace``. A lost or damaged file is made again; the broker continues."""
        await self._change(lambda: self._file.replace(accounts))

    async def remember_sessions(self, logins: Mapping[str, tuple[str, bool]]) -> None:
        """See ``AccountsFile.remember_sessions``; of a lost file the next comparison says so."""
        try:
            await self._in_thread(lambda: self._file.remember_sessions(logins))
        except FileLost as exc:
            log.warning("sessions are not remembered: %s", exc)

    async def figures(self, *, replay: bool = False) -> dict[str, Any]:
        """What the plugin counts; with ``replay`` it also tells every live login again.

        Raises:
            BrokerUnavailable: it does not answer.
        """
        if self.control is None:
            raise BrokerUnavailable("The broker does not run.")
        return await self.control.ask(replay=replay)

    async def close(self) -> None:
        if self.control is not None:
            await self.control.close()
        await self._in_thread(self._file.close)

    # ------------------------------------------------------------------ inside

    async def _change(self, work: Callable[[], int]) -> None:
        number = await self._in_thread(work)
        if self.control is not None:
            await self.control.in_force(number)

    async def _change_if_there(self, work: Callable[[], int]) -> None:
        try:
            await self._change(work)
        except FileLost as exc:
            # Whoever is live stays until the file is there again, so this is not done.
            raise BrokerUnavailable(
                f"The broker's accounts cannot be changed: {exc}.",
                hint="`mooring broker sync` makes the file again.",
                code="accounts_file_unusable",
            ) from exc

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(work)


def _differences(
    account: Account, held: Held | None, rights: Mapping[int, tuple[str, str]]
) -> list[Difference]:
    name = account.username
    if held is None:
        return [Difference(DifferenceKind.MISSING, name)]
    found = []
    if (held.verifier, held.next_verifier) != (account.verifier, account.next_verifier):
        found.append(Difference(DifferenceKind.STALE, name))
    detail = _wrong_rights(account, held, rights)
    if detail is not None:
        found.append(Difference(DifferenceKind.WRONG_RIGHTS, name, detail))
    return found


def _limits(username: str, detail: str) -> Difference:
    return Difference(DifferenceKind.WRONG_RIGHTS, username, detail)


def _wrong_rights(
    account: Account, held: Held, rights: Mapping[int, tuple[str, str]]
) -> str | None:
    """What is not as it should be; ``None``: nothing."""
    if held.locked != account.locked:
        return "locked at the broker" if held.locked else "not locked at the broker"
    if held.client_id != account.client_id:
        return "client id"
    if held.certificates != frozenset(account.certificates):
        return "certificates"
    if held.tenant != account.tenant:
        return "tenant"
    if Quota(held.max_connections, held.max_messages, held.max_bytes) != account.quota:
        return "limits"
    values = held.vars.split("\n")
    publish, subscribe = rights.get(held.rights, ("", ""))
    same = set(filled(publish, values)) == set(account.rights.publish) and set(
        filled(subscribe, values)
    ) == set(account.rights.subscribe)
    return None if same else ""
