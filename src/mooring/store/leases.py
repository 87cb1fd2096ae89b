"""Work that one process at a time does: the process that holds the lease, for as long as it
renews it."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from weakref import WeakKeyDictionary, WeakSet

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.later import later
from mooring.store.engine import Database, now_ms
from mooring.store.schema import leases

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["LEASE_MS", "Lease"]

LEASE_MS = 15_000

_leases: WeakKeyDictionary[Database, WeakSet[Lease]] = WeakKeyDictionary()
"""Those of this process, which are renewed together."""
_lock = threading.Lock()
"""Held while ``_leases`` or ``_until`` of a lease changes."""


class Lease:
    """A claim to one kind of work.

    A process that does several kinds of work renews its claims in one transaction. A claim whose
    work has not asked for it lately is left out: somebody else takes over work that hangs.

    Args:
        name: of the work.
        lease_ms: how long it is held without being renewed; a killed holder's work waits so
            long for the next one.
    """

    def __init__(self, database: Database, name: str, *, lease_ms: int = LEASE_MS) -> None:
        self._database = database
        self._name = name
        self._lease_ms = lease_ms
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._until = self._asked_at = 0
        with _lock:
            _leases.setdefault(database, WeakSet()).add(self)

    @property
    def name(self) -> str:
        """Of the work."""
        return self._name

    @property
    def fresh(self) -> bool:
        """Whether it was taken or renewed so lately that nobody else can have it; no question
        to the database."""
        self._asked_at = now_ms()
        return self._asked_at < self._until - 2 * self._lease_ms // 3

    def held(self, *, after_own_host: bool = False, after_dead: bool = False) -> bool:
        """Takes or renews it; whether it is ours now.

        Args:
            after_dead: a holder on this machine whose process does not run any more is replaced
                before its time is up.
            after_own_host: a holder on this machine is known to have ended, and is replaced
                before its time is up.

        Raises:
            DatabaseUnavailable: it cannot be asked.
        """
        if self.fresh:
            return True
        at = now_ms()
        until = at + self._lease_ms
        others = self._others(at) if self._until else {}
        renewed: set[Lease] = set()
        # A renewal that is lost leaves one that lasts longer than ``fresh`` is believed.
        with self._database.write(news=False, lasting=not self._until) as connection:
            taken = connection.execute(
                sa.update(leases)
                .where(
                    leases.c.name == self._name,
                    sa.or_(
                        leases.c.holder == self._holder,
                        leases.c.until <= at,
                        *(
                            [
                                leases.c.holder.startswith(
                                    f"{socket.gethostname()}:", autoescape=True
                                )
                            ]
                            if after_own_host
                            else []
                        ),
                    ),
                )
                .values(holder=self._holder, until=until)
            ).rowcount
            if not taken:
                insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
                first = insert(leases).values(name=self._name, holder=self._holder, until=until)
                # Somebody else's row stays as it is.
                mine = first.on_conflict_do_nothing().returning(leases.c.name)
                taken = len(connection.execute(mine).all())
            elif others:
                renewed = _renew(connection, others, until)
        with _lock:
            self._until = until if taken else 0
            for one in renewed:
                if one._until == others[one]:  # it was neither renewed nor released meanwhile
                    one._until = until
        if not taken and after_dead and self._drop_dead():
            return self.held()
        return bool(taken)

    def _others(self, at: int) -> dict[Lease, int]:
        """Other claims of this process that are held and were asked for lately, and until when
        each is held."""
        with _lock:
            return {
                one: one._until
                for one in _leases[self._database]
                if one is not self
                and one._lease_ms == self._lease_ms
                and at < one._until
                and at - one._asked_at < self._lease_ms // 2
            }

    def _drop_dead(self) -> bool:
        """Deletes the claim of a process of this machine that was killed; whether there was one.
        Where processes of other machines have this machine's name, they look dead."""
        holder = self.holder()
        host, _, rest = holder.partition(":")
        number = rest.partition(":")[0]
        if host != socket.gethostname() or not number.isdigit() or process_runs(int(number)):
            return False
        with self._database.write(news=False, lasting=False) as connection:
            mine = sa.and_(leases.c.name == self._name, leases.c.holder == holder)
            return bool(connection.execute(sa.delete(leases).where(mine)).rowcount)

    def holder(self) -> str:
        """Who holds it, as ``host:process:…``; empty when nobody does."""
        with self._database.read() as connection:
            found = connection.execute(
                sa.select(leases.c.holder).where(leases.c.name == self._name)
            ).scalar()
        return str(found or "")

    def release(self) -> None:
        """Lets the next one have it immediately."""
        with _lock:
            self._until = 0
        with self._database.write() as connection:
            connection.execute(
                sa.delete(leases).where(
                    leases.c.name == self._name, leases.c.holder == self._holder
                )
            )


def _renew(connection: Connection, claims: Iterable[Lease], until: int) -> set[Lease]:
    """Those that are still held by who held them. One that was renewed while this transaction
    waited for its turn lasts longer already, and keeps its time."""
    c = leases.c
    rows = [(one._name, one._holder) for one in claims]
    statement = (
        sa.update(leases)
        .where(sa.tuple_(c.name, c.holder).in_(rows), c.until < until)
        .values(until=until)
        .returning(c.name, c.holder)
    )
    held = {(name, holder) for name, holder in connection.execute(statement)}
    return {one for one in claims if (one._name, one._holder) in held}


def process_runs(process: int) -> bool:
    """Whether this machine has a process of this number that has not ended. Where there is no
    ``/proc``, one that has ended and whose parent does not know it yet counts as running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:  # not Linux, or it has ended a moment ago: the next look says so
        return True
    return state not in (["Z"], ["X"])
