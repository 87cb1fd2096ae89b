"""Making the broker follow the database.

A change commits together with an outbox row. ``step`` takes the rows that are due, tells the
authority, and settles them; ``full`` compares everything. Both are idempotent: after a crash
between any two steps the next call does the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from mooring.access import store as access
from mooring.access.instance import Instance
from mooring.access.store import Change
from mooring.broker.protocol import Account, Applied, Authority, Difference, DifferenceKind
from mooring.devices import store
from mooring.devices.service import Devices
from mooring.errors import Internal, MooringError
from mooring.store.engine import Database, now_ms

__all__ = ["Reconciler", "Report", "backoff_ms"]

log = logging.getLogger(__name__)

RETRY_FIRST_MS, RETRY_MOST_MS = 200, 30_000


def backoff_ms(attempts: int) -> int:
    """How long to wait after this many failed attempts: doubling, from 0.2 s to 30 s."""
    return min(RETRY_MOST_MS, RETRY_FIRST_MS << min(attempts, 20))


@dataclass(frozen=True, slots=True)
class Report:
    """What a full comparison found and whether it was mended."""

    differences: tuple[Difference, ...] = ()
    mended: bool = False
    restarted: bool = field(default=False)


class Reconciler:
    """Applies outbox rows and mends differences.

    Args:
        database: where outbox and devices are.
        devices: says what the broker is to accept.
        instance: unseals the passwords on their way.
        authority: tells the broker.
    """

    def __init__(
        self, database: Database, devices: Devices, instance: Instance, authority: Authority
    ) -> None:
        self._database = database
        self._devices = devices
        self._instance = instance
        self._authority = authority

    async def step(self) -> int:
        """Applies what is due; returns how many changes were settled.

        A broker that does not answer postpones them; nothing is given up.
        """
        changes = await asyncio.to_thread(self._due)
        if not changes:
            return 0
        try:
            adopted = await self._apply(changes)
        except MooringError as exc:
            await asyncio.to_thread(self._postpone, changes, exc.message)
            log.warning("the broker could not be told of %d changes: %s", len(changes), exc)
            return 0
        await asyncio.to_thread(self._settle, changes, adopted)
        return len(changes)

    async def full(self, *, dry_run: bool = False) -> Report:
        """Compares every account and mends what differs.

        With Dynamic Security a verifier can only be brought in by its file, beside a stopped
        broker: that restart is in the report.
        """
        moving = await asyncio.to_thread(self._waiting)
        accounts = await asyncio.to_thread(self._devices.accounts)
        moving |= await asyncio.to_thread(self._waiting)
        differences = tuple(
            # A change on its way is no difference: ``step`` brings it, with its secret.
            d
            for d in await self._authority.compare(accounts)
            if d.username not in moving
        )
        if dry_run or not differences:
            return Report(differences)
        by_name = {account.username: account for account in accounts}
        extra = [d.username for d in differences if d.kind is DifferenceKind.EXTRA]
        wrong = [by_name[d.username] for d in differences if d.kind is not DifferenceKind.EXTRA]
        if extra:
            await self._authority.remove(extra)
        restarted = False
        if wrong:
            applied = await self._authority.put(wrong)
            if applied.needs_replace:
                log.warning(
                    "%d accounts need the broker's file to be written anew; it restarts",
                    len(applied.needs_replace),
                )
                await self._authority.replace(await asyncio.to_thread(self._devices.accounts))
                restarted = True
        log.info("the broker differed in %d accounts; mended", len(differences))
        return Report(differences, mended=True, restarted=restarted)

    # ------------------------------------------------------------------ inside

    async def _apply(self, changes: Sequence[Change]) -> Applied:
        puts: list[Account] = []
        removes: list[str] = []
        kicks: list[str] = []
        secrets: dict[str, str] = {}
        for change in changes:
            match change.action:
                case "put":
                    account = await asyncio.to_thread(self._devices.account, change.username)
                    if account is None:
                        removes.append(change.username)
                        continue
                    puts.append(account)
                    if change.sealed_secret is not None:
                        secrets[change.username] = self._instance.unseal(change.sealed_secret)
                case "remove":
                    removes.append(change.username)
                case "kick":
                    kicks.append(change.username)
                case _:
                    raise Internal(f"The outbox holds an unknown action: {change.action}.")
        if removes:
            await self._authority.remove(removes)
        applied = Applied()
        if puts:
            applied = await self._authority.put(puts, secrets)
            if applied.needs_replace:
                await self._authority.replace(await asyncio.to_thread(self._devices.accounts))
        if kicks:
            await self._authority.kick(kicks)
        return applied

    def _waiting(self) -> set[str]:
        with self._database.read() as connection:
            return access.waiting_usernames(connection)

    def _due(self) -> list[Change]:
        with self._database.read() as connection:
            return access.due_changes(connection, now_ms())

    def _settle(self, changes: Sequence[Change], applied: Applied) -> None:
        with self._database.write() as connection:
            # A newer change of the same login has taken this one's place meanwhile: its
            # secret is not the one the broker made a verifier of.
            current = access.existing(connection, [change.id for change in changes])
            for change in changes:
                verifier = applied.adopted.get(change.username)
                if verifier is not None and change.id in current:
                    store.set_verifier(connection, change.username, verifier)
            access.settle(connection, [change.id for change in changes])

    def _postpone(self, changes: Sequence[Change], error: str) -> None:
        at = now_ms()
        with self._database.write() as connection:
            for change in changes:
                access.postpone(connection, [change.id], at + backoff_ms(change.attempts), error)
