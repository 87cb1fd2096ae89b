"""Password file and access list as authority.

Changes that come together become one reload: the first after a quiet time is applied immediately,
the next wait until ``debounce`` seconds have passed since. Every reload also renews the
password of a *canary*, an account without rights; when the broker lets the canary in with its
new password, it has read the files. So ``put`` knows that it is in force, whatever the
broker's version and wherever its log is.

On SIGHUP 2.0 ends the sessions of clients whose line is gone or whose password no longer
fits, and of nobody else (tried with 2.0.11; a new salt for the same password is not a change).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mooring.broker import access_list, password_lines
from mooring.broker.connection import Connection, Endpoint
from mooring.broker.password_lines import CANARY_USERNAME
from mooring.broker.protocol import Applied, Difference, DifferenceKind
from mooring.broker.reload import Reload
from mooring.errors import BrokerUnavailable, Unavailable
from mooring.files import write_atomically
from mooring.identity.account import Account
from mooring.secrets import verifiers

__all__ = ["CANARY_USERNAME", "PasswordFileAuthority"]

DEBOUNCE_SECONDS = 2.0

GATHER_SECONDS = 0.02
"""How long the first change waits for others at the same moment."""

CONFIRM_SECONDS = 30.0
"""20,000 users and 15,000 connected clients stall a reload for 1.3 s."""

FIRST_LOOK_SECONDS = 0.11
"""2.0 looks for signals at least every 0.1 s; asking earlier only makes rejections in its log."""


@dataclass(slots=True)
class _Change:
    """What one caller waits for: accounts to set, ``None`` to delete, and names to kick."""

    accounts: Mapping[str, Account | None]
    kicked: frozenset[str]
    done: asyncio.Future[None] = field(repr=False)


class PasswordFileAuthority:
    """Accounts in a password file, their rights in an access list.

    Args:
        passwords: the password file.
        access: the access list.
        service: Mooring's own account, written with the others.
        reload: tells the broker to read them again; ``None`` while no broker runs.
        endpoint: where the broker answers; with ``None`` nothing proves that a reload is
            through, so changes count as in force once the broker was notified.
        debounce: seconds between two reloads, at least.
        keep: usernames of others, never reported, changed or removed.
        former: names the service had with another authority. They have no password, so nobody
            can log in with them, but a session the broker keeps for one is still given
            messages until we come back.
        written: what the files hold and the broker has read, where the caller knows that:
            it wrote them itself and then started the broker.

        spanning: whether the broker fills patterns with usernames that have a slash.

    Raises:
        Invalid: the service's username does not fit into a password file.
    """

    replace_restarts = False

    def __init__(
        self,
        passwords: Path,
        access: Path,
        service: Account,
        *,
        reload: Reload | None = None,
        endpoint: Endpoint | None = None,
        debounce: float = DEBOUNCE_SECONDS,
        keep: Iterable[str] = (),
        written: Iterable[Account] | None = None,
        former: Iterable[str] = (),
        spanning: bool = False,
    ) -> None:
        password_lines.check_username(service.username)
        self._passwords = passwords
        self._access = access
        self._service = service
        self._reload = reload
        self._endpoint = endpoint
        self._debounce = debounce
        self._keep = frozenset(keep) - {service.username, CANARY_USERNAME}
        self._former = frozenset(former) - {service.username}
        self._ours = frozenset({service.username, CANARY_USERNAME}) | self._former
        self._spanning = spanning
        self._waiting: list[_Change] = []
        self._hurry = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._files = asyncio.Lock()
        self._next = 0.0
        # Files that somebody emptied must not take everybody's account away with the next
        # change: changes are made to what we wrote last, not to the current content.
        self._written = (
            {a.username: a for a in written if not a.locked} if written is not None else None
        )
        self._in_force = written is not None
        self.reloads = 0
        """Reloads so far, for metrics."""

    async def put(
        self, accounts: Sequence[Account], secrets: Mapping[str, str] | None = None
    ) -> Applied:
        """See ``Authority.put``; secrets are not needed.

        Raises:
            Invalid: a username that a password file cannot hold; nothing is changed then.
        """
        for account in accounts:
            password_lines.check_username(account.username)
        await self._change({a.username: None if a.locked else a for a in accounts})
        return Applied()

    async def remove(self, usernames: Sequence[str]) -> None:
        """See ``Authority.remove``: the reload ends the sessions of removed accounts."""
        await self._change(dict.fromkeys(usernames))

    async def kick(self, usernames: Sequence[str]) -> None:
        """See ``Authority.kick``: two reloads, with another password in between.

        For that moment, 0.1 s and the time of a reload, the device's own password is rejected.
        """
        await self._change({}, frozenset(usernames))

    async def flush(self) -> None:
        """Apply what waits now instead of at the end of the debounce."""
        self._hurry.set()
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def usernames(self) -> set[str]:
        async with self._files:
            await self._ensure_in_force()
            return set(await asyncio.to_thread(self._load))

    async def compare(self, accounts: Iterable[Account]) -> list[Difference]:
        """See ``Authority.compare``.

        The first call also reloads the broker once: an earlier process may have died between
        writing the files and telling it.
        """
        async with self._files:
            await self._ensure_in_force()
            held = await asyncio.to_thread(self._load)
        found = []
        wanted = [account for account in accounts if not account.locked]
        # A pattern may open topics that belong to no account; that is not a difference.
        granted = await asyncio.to_thread(self._factor, wanted)
        for account in wanted:  # an existing line of a locked one must go
            there = held.pop(account.username, None)
            if there is None:
                found.append(Difference(DifferenceKind.MISSING, account.username))
                continue
            if there.verifier != account.verifier:
                found.append(Difference(DifferenceKind.STALE, account.username))
            if there.rights != granted.rights(account.username):
                found.append(
                    Difference(DifferenceKind.WRONG_RIGHTS, account.username, "other topics")
                )
        return found + [Difference(DifferenceKind.EXTRA, name) for name in sorted(held)]

    def only_by_replace(
        self, accounts: Iterable[Account], found: Iterable[Difference]
    ) -> tuple[str, ...]:
        """See ``Authority.only_by_replace``: none; a line is a line."""
        return ()

    async def replace(self, accounts: Sequence[Account]) -> None:
        """See ``Authority.replace``: one reload, no restart."""
        for account in accounts:
            password_lines.check_username(account.username)
        async with self._files:
            self._written = {a.username: a for a in accounts if not a.locked}
            await self._write(self._written)

    async def _change(
        self, accounts: Mapping[str, Account | None], kicked: frozenset[str] = frozenset()
    ) -> None:
        change = _Change(accounts, kicked, asyncio.get_running_loop().create_future())
        self._waiting.append(change)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        await change.done

    async def _work(self) -> None:
        """Apply what waits, batch by batch, until nothing waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            try:
                async with asyncio.timeout(max(self._next - loop.time(), GATHER_SECONDS)):
                    await self._hurry.wait()
            except TimeoutError:
                pass  # the usual way: the time is up
            self._hurry.clear()
            batch, self._waiting = self._waiting, []
            began = loop.time()
            error: BaseException | None = None
            try:
                async with self._files:
                    await self._apply(batch)
            except BaseException as exc:  # noqa: BLE001 -- handed on to everyone who waits
                error = exc
            # From when this one began: writing large files takes long enough by itself.
            self._next = max(began + self._debounce, loop.time() + self._debounce / 2)
            for change in batch:
                if change.done.done():  # its caller has gone
                    continue
                if error is None:
                    change.done.set_result(None)
                elif isinstance(error, Exception):
                    change.done.set_exception(error)
                else:
                    change.done.cancel()
            if error is not None and not isinstance(error, Exception):
                raise error  # cancelled: nothing more is applied

    async def _apply(self, batch: list[_Change]) -> None:
        held = await asyncio.to_thread(self._load)
        wanted = dict(held if self._written is None else self._written)
        kicked: set[str] = set()
        for change in batch:
            kicked |= change.kicked
            for name, account in change.accounts.items():
                if name in self._ours or name in self._keep:
                    continue
                if account is None:
                    wanted.pop(name, None)
                else:
                    wanted[name] = account
        kicked &= wanted.keys()
        self._written = wanted
        if kicked:
            nobody = verifiers.make(verifiers.new_password())
            await self._write(
                wanted | {name: replace(wanted[name], verifier=nobody) for name in kicked}
            )
        if kicked or not self._in_force or self._differ(held, wanted):
            await self._write(wanted)

    async def _ensure_in_force(self) -> None:
        if not self._in_force:
            written = self._written
            await self._write(await asyncio.to_thread(self._load) if written is None else written)

    async def _write(self, accounts: Mapping[str, Account]) -> None:
        """Write both files, reload, and wait until that is through."""
        self._in_force = False
        secret = verifiers.new_password()
        try:
            await asyncio.to_thread(self._write_files, accounts, verifiers.make(secret))
        except Unavailable as exc:
            raise BrokerUnavailable(exc.message, hint=exc.hint) from exc
        if self._reload is not None:
            await self._reload()
            self.reloads += 1
            if self._endpoint is not None:
                await self._confirm(_as_canary(self._endpoint, secret))
        self._in_force = True

    async def _confirm(self, canary: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONFIRM_SECONDS
        pause = FIRST_LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                connection = await Connection.open(canary)
            except BrokerUnavailable as exc:
                if exc.slug != "broker_refused":
                    raise
                if loop.time() >= deadline:
                    raise BrokerUnavailable(
                        f"The broker did not apply its files within {CONFIRM_SECONDS:g} s.",
                        hint="Does it read the password file that Mooring writes? See its log.",
                        code="broker_not_reloaded",
                    ) from exc
                pause *= 2
                continue
            await connection.close()
            return

    def _factor(self, accounts: Iterable[Account]) -> access_list.AccessList:
        return access_list.factor(accounts, spanning=self._spanning)

    def _differ(self, held: Mapping[str, Account], wanted: Mapping[str, Account]) -> bool:
        if held.keys() != wanted.keys():
            return True
        granted = self._factor(wanted.values())
        return any(
            held[name].verifier != account.verifier or held[name].rights != granted.rights(name)
            for name, account in wanted.items()
        )

    def _load(self) -> dict[str, Account]:
        """The devices' accounts as the files have them."""
        lines, access = self._read()
        names = (lines.keys() | access.users.keys()) - self._ours - self._keep
        return {name: Account(name, lines.get(name), access.rights(name)) for name in names}

    def _read(self) -> tuple[dict[str, str], access_list.AccessList]:
        return (
            password_lines.parse(_text(self._passwords)),
            access_list.parse(_text(self._access)),
        )

    def _write_files(self, accounts: Mapping[str, Account], canary: str) -> None:
        old_lines, old_access = self._read()
        kept = [
            Account(name, old_lines.get(name), old_access.rights(name))
            for name in self._keep & (old_lines.keys() | old_access.users.keys())
        ]
        lines = {a.username: a.verifier for a in accounts.values() if a.verifier is not None}
        lines[CANARY_USERNAME] = canary
        if self._service.verifier is not None:
            lines[self._service.username] = self._service.verifier
        passwords = password_lines.render(
            lines, kept={a.username: a.verifier for a in kept if a.verifier is not None}
        )
        factored = self._factor(accounts.values())
        # Patterns hold for these, too, but for nothing that is anybody else's.
        own = {a.username: a.rights for a in (self._service, *kept)}
        own |= dict.fromkeys(self._former, self._service.rights)
        access = access_list.render(
            access_list.AccessList(factored.patterns, {**factored.users, **own}, factored.denied)
        )
        # The list first: an account without rights does no harm, rights without account
        # neither; both are complete before the broker is notified.
        write_atomically(self._access, access)
        write_atomically(self._passwords, passwords)


def _as_canary(endpoint: Endpoint, secret: str) -> Endpoint:
    """The same broker, as the canary."""
    return replace(endpoint, username=CANARY_USERNAME, password=secret)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise BrokerUnavailable(f"{path} cannot be read: {exc.strerror}.") from exc
