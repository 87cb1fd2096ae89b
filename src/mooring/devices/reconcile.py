"""Making the broker follow the database.

A change commits together with a row in ``broker_changes``. ``step`` takes the rows that are
due, applies them through the authority, and settles them; ``full`` compares everything. Both
are idempotent: after a crash between any two steps the next call does the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from mooring.broker import leftovers
from mooring.broker import store as broker
from mooring.broker.clear import clear
from mooring.broker.connection import Endpoint
from mooring.broker.protocol import (
    Applied,
    Authority,
    Difference,
    DifferenceKind,
    SharedAuthority,
)
from mooring.changes import queue as change_queue
from mooring.changes.queue import Change
from mooring.devices import store
from mooring.devices.service import Devices
from mooring.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    Internal,
    MooringError,
    Unavailable,
)
from mooring.identity.account import Account
from mooring.secrets.instance import Instance
from mooring.store.engine import Database, now_ms

__all__ = ["REPLACE", "Reconciler", "Report", "backoff_ms"]

log = logging.getLogger(__name__)

REPLACE = "replace"
"""The action that gives the broker all accounts at once; for many changes at a time."""

REFRESH_MOST = 2_000  # differing accounts that are corrected by name; above, all are written

RETRY_FIRST_MS, RETRY_MOST_MS = 200, 30_000


def backoff_ms(attempts: int) -> int:
    """How long to wait after this many failed attempts: doubling, from 0.2 s to 30 s."""
    return min(RETRY_MOST_MS, RETRY_FIRST_MS << min(attempts, 20))


@dataclass(frozen=True, slots=True)
class Report:
    """What a full comparison found and whether it was fixed.

    Attributes:
        restarted: the broker was, because only its file could bring some passwords.
        needs_restart: whose passwords those are.
    """

    differences: tuple[Difference, ...] = ()
    mended: bool = False
    restarted: bool = False
    needs_restart: tuple[str, ...] = ()


@dataclass(slots=True)
class _Work:
    """One round: what to tell the authority, and the changes that settles."""

    changes: list[Change] = field(default_factory=list)
    puts: list[Account] = field(default_factory=list)
    removes: list[str] = field(default_factory=list)
    kicks: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)  # with a shared authority, instead of the above
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    replace: bool = False


class Reconciler:
    """Applies pending changes and fixes differences.

    Args:
        database: where the pending changes and the devices are.
        devices: says what the broker is to accept.
        instance: unseals the passwords on their way.
        authority: tells the broker.
        endpoint: where and as whom what removed logins left is cleared.
    """

    def __init__(
        self,
        database: Database,
        devices: Devices,
        instance: Instance,
        authority: Authority,
        endpoint: Endpoint,
    ) -> None:
        self._database = database
        self._devices = devices
        self._instance = instance
        self._authority = authority
        self._shared = authority if isinstance(authority, SharedAuthority) else None
        self._endpoint = endpoint

    async def step(self) -> int:
        """Applies what is due; returns how many changes were settled.

        A broker that does not answer postpones them; nothing is given up.
        """
        changes = await asyncio.to_thread(self._due)
        if not changes:
            return 0
        uncleared = await self._clear()
        if uncleared:
            log.warning("data of removed devices is still on the broker: %s", uncleared)
        work, broken = await asyncio.to_thread(self._prepare, changes)
        for change, error in broken:
            # One device that cannot be worked out must not hold up the others.
            await asyncio.to_thread(self._postpone, [change], error)
            log.warning("the change of %s is postponed: %s", change.username, error)
        return await self._carry_out(work)

    async def _carry_out(self, work: _Work) -> int:
        """Applies and settles; what fails together is tried one by one."""
        if not work.changes:
            return 0
        try:
            applied = await self._apply(work)
            await self._settled(work, applied)
        except Exception as exc:  # whatever one of them holds, the others are applied
            if _concerns_all(exc):
                await asyncio.to_thread(self._postpone, work.changes, _words(exc))
                log.warning("%d pending broker changes: %s", len(work.changes), exc)
                return 0
            if len(work.changes) > 1:
                done = 0
                for change in work.changes:
                    single, broken = await asyncio.to_thread(self._prepare, [change])
                    for _, error in broken:
                        await asyncio.to_thread(self._postpone, [change], error)
                    done += await self._carry_out(single)
                return done
            change, error = work.changes[0], _words(exc)
            await asyncio.to_thread(self._postpone, [change], error)
            log.warning(
                "the change of %s is postponed: %s",
                change.username,
                error,
                exc_info=None if isinstance(exc, MooringError) else exc,
            )
            return 0
        return len(work.changes)

    async def _settled(self, work: _Work, applied: Applied) -> None:
        later = [
            c
            for c in work.changes
            if c.username in applied.waiting and c.action in ("put", "remove")
        ]
        for change in later:
            error = applied.waiting[change.username]
            await asyncio.to_thread(self._postpone, [change], error)
            log.warning("the change of %s is postponed: %s", change.username, error)
        done = [change for change in work.changes if change not in later]
        if done:
            await asyncio.to_thread(self._settle, done, applied)

    async def full(self, *, dry_run: bool = False) -> Report:
        """Compares every account and fixes what differs.

        With Dynamic Security a verifier can only be brought in by its file, next to a stopped
        broker: that restart is in the report.
        """
        if self._shared is not None:
            return await self._full_shared(self._shared, dry_run=dry_run)
        moving = await asyncio.to_thread(self._waiting)
        accounts = await asyncio.to_thread(self._devices.accounts)
        moving |= await asyncio.to_thread(self._waiting)
        differences = tuple(
            # A pending change is not a difference: ``step`` applies it, with its secret.
            d
            for d in await self._authority.compare(accounts)
            if d.username not in moving
        )
        needs_restart = self._authority.only_by_replace(accounts, differences)
        if dry_run or not differences:
            return Report(differences, needs_restart=needs_restart)
        by_name = {account.username: account for account in accounts}
        extra = [d.username for d in differences if d.kind is DifferenceKind.EXTRA]
        wrong = [by_name[d.username] for d in differences if d.kind is not DifferenceKind.EXTRA]
        if extra:
            await self._authority.remove(extra)
        restarted = False
        if wrong:
            applied = await self._authority.put(wrong)
            if applied.needs_replace:
                restarted = self._authority.replace_restarts
                log.warning(
                    "%d accounts need the broker's file to be written again%s",
                    len(applied.needs_replace),
                    "; it restarts" if restarted else "",
                )
                await self._authority.replace(await asyncio.to_thread(self._devices.accounts))
        log.info("the broker differed in %d accounts; fixed", len(differences))
        return Report(differences, True, restarted, needs_restart)

    async def _full_shared(self, authority: SharedAuthority, *, dry_run: bool) -> Report:
        """As ``full``, while other processes change accounts and without holding them all."""
        moving = await asyncio.to_thread(self._waiting)
        logins = self._devices.logins
        found = await authority.compare(logins.stream())
        moving |= await asyncio.to_thread(self._waiting)
        names = list(dict.fromkeys(d.username for d in found if d.username not in moving))
        if not names:
            return Report()
        # What was compared may be older than what the broker has: only what differs now counts.
        differences = tuple(await authority.differing(names, logins.current))
        if dry_run or not differences:
            return Report(differences)
        names = list(dict.fromkeys(d.username for d in differences))
        applied = Applied()
        if len(names) <= REFRESH_MOST:
            applied = await authority.refresh(names, logins.current)
        if len(names) > REFRESH_MOST or applied.needs_replace:
            await authority.renew(logins.stream)
        log.info("the broker differed in %d accounts; corrected", len(names))
        return Report(differences, True)

    # ------------------------------------------------------------------ inside

    def _prepare(self, changes: Sequence[Change]) -> tuple[_Work, list[tuple[Change, str]]]:
        """What to tell the broker, and the changes of which that cannot be said now."""
        work, broken = _Work(), list[tuple[Change, str]]()
        for change in changes:
            try:
                self._sort(work, change)
            except DatabaseUnavailable:
                raise
            except Exception as exc:  # noqa: BLE001 - it is recorded with the change
                broken.append((change, _words(exc)))
            else:
                work.changes.append(change)
        return work, broken

    def _sort(self, work: _Work, change: Change) -> None:
        match change.action:
            case "put" | "remove" if self._shared is not None:
                work.names.append(change.username)
            case "put":
                if self._devices.logins.blocked(change.username):
                    raise BrokerUnavailable("The broker still has data of the former device.")
                account = self._devices.account(change.username)
                if account is None:
                    work.removes.append(change.username)
                    return
                if change.sealed_secret is not None:
                    work.secrets[change.username] = self._instance.unseal(change.sealed_secret)
                work.puts.append(account)
            case "remove":
                work.removes.append(change.username)
            case "kick":
                work.kicks.append(change.username)
            case "replace":
                work.replace = True
            case _:
                raise Internal(f"A pending change has an unknown action: {change.action}.")

    async def _clear(self) -> str:
        """Clears what removed logins left; why that is not done yet, if it is not."""
        while True:
            found = await asyncio.to_thread(self._left)
            if not found:
                return ""
            try:
                # First, so that nobody returns to the session.
                await self._authority.remove([one.username for one in found])
                await clear(
                    self._endpoint,
                    [name for one in found for name in one.client_ids],
                    [topic for one in found for topic in one.filters],
                )
            except MooringError as exc:
                return exc.message
            await asyncio.to_thread(self._cleared, [one.id for one in found])

    def _left(self) -> list[leftovers.Leftover]:
        with self._database.read() as connection:
            return leftovers.left(connection)

    def _cleared(self, ids: Sequence[int]) -> None:
        with self._database.write() as connection:
            leftovers.cleared(connection, ids)

    async def _apply(self, work: _Work) -> Applied:
        if self._shared is not None:
            return await self._apply_shared(self._shared, work)
        if work.replace:
            # Everything at once covers every other change of this round but the kicks.
            await self._authority.replace(await asyncio.to_thread(self._devices.accounts))
            if work.kicks:
                await self._authority.kick(work.kicks)
            return Applied()
        if work.removes:
            await self._authority.remove(work.removes)
        applied = Applied()
        if work.puts:
            applied = await self._authority.put(work.puts, work.secrets)
            if applied.needs_replace:
                await self._authority.replace(await asyncio.to_thread(self._devices.accounts))
                if not self._authority.replace_restarts:
                    # Of a file that was lost nobody knows what it said before.
                    work.kicks += applied.needs_replace
        if work.kicks:
            await self._authority.kick(work.kicks)
        return applied

    async def _apply_shared(self, authority: SharedAuthority, work: _Work) -> Applied:
        logins = self._devices.logins
        if work.replace:
            await authority.renew(logins.stream)
            if not work.kicks:
                return Applied()
        names = [] if work.replace else work.names
        applied = await authority.refresh(names, logins.current, kicks=work.kicks)
        if applied.needs_replace:
            await authority.renew(logins.stream)
            # Of a file that was lost nobody knows what it said before.
            await authority.kick([*work.kicks, *applied.needs_replace])
        return applied

    def _waiting(self) -> set[str]:
        with self._database.read() as connection:
            return change_queue.waiting_usernames(connection)

    def _due(self) -> list[Change]:
        with self._database.read() as connection:
            return change_queue.due_changes(connection, now_ms())

    def _settle(self, changes: Sequence[Change], applied: Applied) -> None:
        with self._database.write() as connection:
            # A newer change of the same login has taken this one's place meanwhile: its
            # secret is not the one the broker made a verifier of.
            current = change_queue.existing(connection, [change.id for change in changes])
            for change in changes:
                verifier = applied.adopted.get(change.username)
                if (
                    verifier is not None
                    and change.id in current
                    and not broker.set_verifier(connection, change.username, verifier)
                ):
                    store.set_verifier(connection, change.username, verifier)
            change_queue.settle(connection, [change.id for change in changes])

    def _postpone(self, changes: Sequence[Change], error: str) -> None:
        at = now_ms()
        with self._database.write() as connection:
            for change in changes:
                change_queue.postpone(
                    connection, [change.id], at + backoff_ms(change.attempts), error
                )


def _concerns_all(exc: Exception) -> bool:
    """Whether no single change is at fault: the broker or the database does not answer."""
    return isinstance(exc, Unavailable) and exc.slug != "dynsec_refused"


def _words(exc: Exception) -> str:
    return exc.message if isinstance(exc, MooringError) else f"{type(exc).__name__}: {exc}"[:500]
