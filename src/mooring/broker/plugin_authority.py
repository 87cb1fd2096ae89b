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
from mooring.broker.plugin_control import DAMAGED, UNUSABLE, PluginControl
from mooring.broker.plugin_file import AccountsFile, FileLost
from mooring.broker.protocol import Applied, Current, Difference, DifferenceKind
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account

__all__ = ["PluginAuthority"]

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
        """See ``Authority.compare``; the accounts are read in a thread, a page at a time."""
        await self._look()
        try:
            found = await self._in_thread(lambda: self._file.compare(accounts))
        except FileLost as exc:
            # Of those that were not looked at yet; one at least says that the file is lost.
            rest = [a.username for a in accounts] or [self._service.username]
            return [Difference(DifferenceKind.MISSING, name, str(exc)) for name in rest]
        return [one for one in found if one.username not in self._reserved]

    async def differing(
        self, usernames: Sequence[str], read: Callable[[Sequence[str]], Current]
    ) -> list[Difference]:
        """See ``SharedAuthority.differing``."""
        try:
            return await self._in_thread(lambda: self._file.differing(usernames, read))
        except FileLost as exc:
            return [Difference(DifferenceKind.MISSING, name, str(exc)) for name in usernames]

    def only_by_replace(
        self,
        accounts: Iterable[Account],
        found: Iterable[Difference],
    ) -> tuple[str, ...]:
        """None: the file takes verifiers."""
        return ()

    async def refresh(
        self,
        usernames: Sequence[str],
        read: Callable[[Sequence[str]], Current],
        *,
        kicks: Sequence[str] = (),
    ) -> Applied:
        """See ``SharedAuthority.refresh``: one transaction of the file, one question."""
        names = [name for name in usernames if name not in self._reserved]
        current = Current()

        def work() -> int:
            nonlocal current
            number, current = self._file.refresh(names, read, kicks)
            return number

        try:
            await self._change(work)
        except FileLost:
            return Applied(needs_replace=tuple(usernames))
        return Applied(waiting=current.waiting)

    async def replace(self, accounts: Sequence[Account]) -> None:
        """See ``Authority.replace``. A lost or damaged file is made again; the broker continues."""
        await self._change_whole(lambda: self._file.replace(accounts))

    async def renew(self, read: Callable[[], Iterable[Account]]) -> None:
        """See ``SharedAuthority.renew``."""
        await self._change_whole(lambda: self._file.renew(read))

    async def stamp(self) -> tuple[object, ...] | None:
        """See ``SharedAuthority.stamp``."""
        try:
            return await self._in_thread(self._file.stamp)
        except FileLost:
            return None

    async def usable(self) -> bool:
        """Whether the file can be read as it is."""
        try:
            await self._in_thread(self._file.number)
        except FileLost:
            return False
        return True

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
            raise BrokerUnavailable("The broker is not running.")
        return await self.control.ask(replay=replay)

    async def close(self) -> None:
        if self.control is not None:
            await self.control.close()
        await self._in_thread(self._file.close)

    # ------------------------------------------------------------------ inside

    async def _change(self, work: Callable[[], int]) -> None:
        number = await self._in_thread(work)
        if self.control is None:
            return
        try:
            await self.control.in_force(number)
        except BrokerUnavailable as exc:
            if exc.slug != UNUSABLE:
                raise
            why = exc.message
            log.warning("%s", why)
            await self._in_thread(lambda: self._file.distrust(why))
            raise FileLost(why) from exc

    async def _change_whole(self, work: Callable[[], int]) -> None:
        """With all accounts: a file that only the broker finds damaged is made again."""
        try:
            await self._change(work)
        except FileLost:
            await self._change_if_there(work)

    async def _look(self) -> None:
        """What the broker finds damaged is lost, though it can be read here."""
        if self.control is None:
            return
        try:
            state = str((await self.control.ask()).get("file"))
        except BrokerUnavailable as exc:
            log.info("the plugin was not asked about its file: %s", exc)
            return
        if state in DAMAGED:
            why = f"the broker's plugin cannot use it: {state}"
            await self._in_thread(lambda: self._file.distrust(why))

    async def _change_if_there(self, work: Callable[[], int]) -> None:
        try:
            await self._change(work)
        except FileLost as exc:
            # Live sessions stay until the file exists again, so this is not done.
            raise BrokerUnavailable(
                f"The broker's accounts cannot be changed: {exc}.",
                hint="Run `mooring broker sync` to create the file again.",
                code="accounts_file_unusable",
            ) from exc

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(work)
