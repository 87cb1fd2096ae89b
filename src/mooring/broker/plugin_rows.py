"""Rows of ``accounts.db``: how an account is kept, and what one transaction changes.

Everything here blocks; see ``AccountsFile``.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from mooring.broker.plugin_rights import texts_of, values_of
from mooring.identity.account import NO_QUOTA, Account, Quota

__all__ = [
    "CHANGES_KEPT",
    "NAMED_MOST",
    "NAMES_AT_ONCE",
    "Change",
    "Held",
    "begin_seen",
    "held_of",
    "held_rows",
    "newest",
    "pages",
    "quota_of_tenant",
    "raw_rows",
    "see",
    "unseen",
]

log = logging.getLogger(__name__)

CHANGES_KEPT = 10_000
NAMED_MOST = 2_000
"""Changes of one transaction that are named; above, the plugin reads everything again."""

NAMES_AT_ONCE = 500

_COLUMNS = (
    "username, verifier, next_verifier, locked, client_id, rights, vars, tenant, service,"
    " max_connections, max_messages, max_bytes"
)
_PUT = f"""INSERT INTO account({_COLUMNS}, epoch) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)
  ON CONFLICT(username) DO UPDATE SET verifier = excluded.verifier,
  next_verifier = excluded.next_verifier, locked = excluded.locked,
  client_id = excluded.client_id, rights = excluded.rights, vars = excluded.vars,
  tenant = excluded.tenant, service = excluded.service,
  max_connections = excluded.max_connections, max_messages = excluded.max_messages,
  max_bytes = excluded.max_bytes, epoch = excluded.epoch"""


class Held(NamedTuple):
    """One account as the file has it; the columns of ``account`` in their order."""

    verifier: str | None
    next_verifier: str | None
    locked: bool
    client_id: str | None
    rights: int
    vars: str
    tenant: str
    service: bool
    max_connections: int | None
    max_messages: int | None
    max_bytes: int | None
    epoch: int
    certificates: frozenset[str] = frozenset()


def raw_rows(
    db: sqlite3.Connection, names: Sequence[str]
) -> tuple[dict[str, tuple[Any, ...]], dict[str, set[str]]]:
    """The accounts of these names that the file has: their columns, the name and what ``Held``
    has, and the serial numbers of those that have certificates."""
    serials: dict[str, set[str]] = {}
    rows: dict[str, tuple[Any, ...]] = {}
    for start in range(0, len(names), NAMES_AT_ONCE):
        some = names[start : start + NAMES_AT_ONCE]
        marks = ",".join("?" * len(some))
        found = db.execute(
            f"SELECT {_COLUMNS}, epoch FROM account WHERE username IN ({marks})",  # noqa: S608 - columns and marks only
            some,
        )
        rows |= {row[0]: row for row in found}
        for username, serial in db.execute(
            f"SELECT username, serial FROM certificate WHERE username IN ({marks})",  # noqa: S608 - marks only
            some,
        ):
            serials.setdefault(username, set()).add(serial)
    return rows, serials


def held_rows(db: sqlite3.Connection, names: Sequence[str]) -> dict[str, Held]:
    """The accounts of these names that the file has."""
    rows, serials = raw_rows(db, names)
    return {name: held_of(row, serials) for name, row in rows.items()}


def held_of(row: tuple[Any, ...], serials: Mapping[str, Iterable[str]]) -> Held:
    """One of ``raw_rows``."""
    return Held._make((*row[1:], frozenset(serials.get(row[0], ()))))


def quota_of_tenant(db: sqlite3.Connection, name: str) -> Quota:
    """What a tenant may take, as the file has it."""
    row = db.execute(
        "SELECT max_connections, max_messages, max_bytes FROM tenant WHERE name=?", (name,)
    ).fetchone()
    return NO_QUOTA if row is None else Quota(*row)


def newest(db: sqlite3.Connection) -> int:
    """The number of the newest change."""
    return int(db.execute("SELECT max(seq) FROM change").fetchone()[0] or 0)


class Change:
    """One transaction: what it writes, and the rows that tell the plugin.

    Args:
        rights: the numbers of the rights that the file has; completed.
        service: the platform's own username.
        first: the file is new. What it holds may have been in force before it was lost, so
            these epochs end no session.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        rights: dict[tuple[str, str], int],
        service: str,
        *,
        first: bool = False,
    ) -> None:
        self.db = db
        self._service = service
        self._rights = rights
        self._first = first
        self._names: list[str] = []
        self._changed = 0
        self._all = False  # everything is being put
        self._tenants: dict[str, Quota] = {}  # those that were looked at
        self._everything = False  # whether more changed than single accounts
        self.number = newest(db)

    def put(self, accounts: Sequence[Account], held: Mapping[str, Held]) -> None:
        """Writes what differs.

        Args:
            held: what the file has of these accounts.
        """
        rows, serials, ids = [], [], []
        for account in accounts:
            self._tenant(account)
            before = held.get(account.username)
            now = self._wanted(account, before)
            if before == now:
                continue
            rows.append((account.username, now))
            if before is not None and before.client_id is not None:
                ids.append((account.username,))
            if (before.certificates if before else frozenset()) != now.certificates:
                serials.append(account.username)
        if not rows:
            return
        self._note(name for name, _ in rows)
        # A client id may go from one account to another in one transaction.
        self.db.executemany("UPDATE account SET client_id=NULL WHERE username=?", ids)
        for name, row in rows:
            self._write(name, row)
        self._certificates(serials, dict(rows))

    def put_all(self, accounts: Iterable[Account]) -> None:
        """Makes it exactly these accounts, a page at a time."""
        self._all = True
        begin_seen(self.db)
        for page in pages(accounts):
            names = [account.username for account in page]
            self.put(page, {} if self._first else held_rows(self.db, names))
            see(self.db, names)
        while others := unseen(self.db, NAMES_AT_ONCE):
            self.remove(others)
        self.db.execute("DELETE FROM seen")
        self.db.execute("DELETE FROM rights WHERE id NOT IN (SELECT DISTINCT rights FROM account)")
        self.db.execute(
            "DELETE FROM tenant WHERE name NOT IN (SELECT DISTINCT tenant FROM account)"
        )

    def remove(self, names: Sequence[str]) -> None:
        """Deletes accounts that the file has."""
        rows = [(name,) for name in names]
        self.db.executemany("DELETE FROM account WHERE username=?", rows)
        self.db.executemany("DELETE FROM certificate WHERE username=?", rows)
        self.db.executemany("DELETE FROM session WHERE username=?", rows)
        self._note(names)

    def kick(self, names: Sequence[str]) -> None:
        """Raises the epoch of accounts that the file has."""
        self.db.executemany(
            "UPDATE account SET epoch=? WHERE username=?",
            [(self.number + 1, name) for name in names],
        )
        self._note(names)

    def finish(self) -> None:
        """Says what changed; nothing if nothing did."""
        if not self._changed and not self._everything:
            return
        named = self._changed <= NAMED_MOST and not self._everything
        told: Sequence[str | None] = self._names if named else [None]
        self.db.executemany("INSERT INTO change(username) VALUES(?)", [(name,) for name in told])
        self.number = newest(self.db)
        self.db.execute("DELETE FROM change WHERE seq <= ?", (self.number - CHANGES_KEPT,))

    # ------------------------------------------------------------------ inside

    def _note(self, names: Iterable[str]) -> None:
        for name in names:
            self._changed += 1
            if self._changed <= NAMED_MOST:
                self._names.append(name)

    def _write(self, name: str, row: Held) -> None:
        values = (
            *(name, row.verifier, row.next_verifier, int(row.locked), row.client_id),
            *(row.rights, row.vars, row.tenant, int(row.service)),
            *(row.max_connections, row.max_messages, row.max_bytes, row.epoch),
        )
        try:
            self.db.execute(_PUT, values)
        except sqlite3.IntegrityError:
            if self._taken_back(row.client_id):
                self.db.execute(_PUT, values)
                return
            # The client id is another account's. Without one this account may use any but
            # those of others, so it stays away from it all the same.
            log.warning("the client id %s of %s belongs to another account", row.client_id, name)
            self.db.execute(_PUT, (*values[:4], None, *values[5:]))

    def _tenant(self, account: Account) -> None:
        """Writes what its tenant may take, where that differs."""
        name, quota = account.tenant, account.tenant_quota
        if not name:
            return
        if name not in self._tenants:
            self._tenants[name] = quota_of_tenant(self.db, name)
        if self._tenants[name] == quota:
            return
        self._tenants[name] = quota
        self._everything = True
        self.db.execute("DELETE FROM tenant WHERE name=?", (name,))
        if quota != NO_QUOTA:
            self.db.execute(
                "INSERT INTO tenant(name, max_connections, max_messages, max_bytes)"
                " VALUES(?,?,?,?)",
                (name, quota.connections, quota.messages, quota.bytes),
            )

    def _taken_back(self, client_id: str | None) -> bool:
        """Whether the account with this client id is only as it was before: while everything
        is put a page at a time, its turn comes later."""
        if not self._all:
            return False
        found = self.db.execute(
            "UPDATE account SET client_id=NULL WHERE client_id=?"
            " AND username NOT IN (SELECT username FROM seen) RETURNING username",
            (client_id,),
        ).fetchall()
        self._note(name for (name,) in found)
        return bool(found)

    def _certificates(self, names: Sequence[str], rows: Mapping[str, Held]) -> None:
        self.db.executemany("DELETE FROM certificate WHERE username=?", [(n,) for n in names])
        self.db.executemany(
            "INSERT OR REPLACE INTO certificate(serial, username) VALUES(?,?)",
            [(serial, name) for name in names for serial in sorted(rows[name].certificates)],
        )

    def _wanted(self, account: Account, before: Held | None) -> Held:
        values = values_of(account)
        certificates = frozenset(account.certificates)
        epoch = before.epoch if before is not None else 0 if self._first else self.number + 1
        if before is not None and _ends_sessions(before, account, certificates):
            epoch = self.number + 1
        return Held(
            account.verifier,
            account.next_verifier,
            account.locked,
            account.client_id,
            self._rights_number(texts_of(account, values)),
            "\n".join(values),
            account.tenant,
            account.username == self._service,
            account.quota.connections,
            account.quota.messages,
            account.quota.bytes,
            epoch,
            certificates,
        )

    def _rights_number(self, texts: tuple[str, str]) -> int:
        number = self._rights.get(texts)
        if number is None:
            number = self.db.execute(
                "INSERT INTO rights(publish, subscribe) VALUES(?,?)"
                " ON CONFLICT DO UPDATE SET publish=excluded.publish RETURNING id",
                texts,
            ).fetchone()[0]
            self._rights[texts] = number
        return number


def _ends_sessions(before: Held, account: Account, certificates: frozenset[str]) -> bool:
    """Whether live sessions must end.

    Where the second password becomes the first, the device is in session with it. With a
    client id of its own that is its only session; otherwise others may have the old password.
    """
    promoted = (
        account.client_id is not None
        and account.client_id == before.client_id
        and account.verifier is not None
        and account.verifier == before.next_verifier
    )
    had = {one for one in (before.verifier, before.next_verifier) if one is not None}
    taken_back = bool(had - {account.verifier, account.next_verifier})
    return (
        (taken_back and not promoted)
        or (account.locked and not before.locked)
        or (account.client_id is not None and account.client_id != before.client_id)
        or bool(before.certificates - certificates)
    )


# --- which accounts of the file were among those of a stream, without holding their names


def begin_seen(db: sqlite3.Connection) -> None:
    """Empties the list. It is a table of this connection alone, in the caller's transaction."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS seen(username TEXT PRIMARY KEY) WITHOUT ROWID")
    db.execute("DELETE FROM seen")


def see(db: sqlite3.Connection, names: Iterable[str]) -> None:
    """Adds to the list."""
    db.executemany("INSERT OR IGNORE INTO seen(username) VALUES(?)", ((name,) for name in names))


def others(db: sqlite3.Connection, seen: Iterable[int]) -> list[str]:
    """Accounts of the file whose names do not have one of these hashes. Two names with the same
    hash of 64 bits, which is another one in each process, do not occur in practice."""
    known = frozenset(seen)
    rows = db.execute("SELECT username FROM account")
    return [name for (name,) in rows if hash(name) not in known]


def unseen(db: sqlite3.Connection, most: int) -> list[str]:
    """Accounts of the file that are not in the list; -1: all of them."""
    rows = db.execute(
        "SELECT username FROM account WHERE username NOT IN (SELECT username FROM seen) LIMIT ?",
        (most,),
    )
    return [name for (name,) in rows]


def pages(accounts: Iterable[Account]) -> Iterator[list[Account]]:
    """As many at a time as one statement asks for."""
    rest = iter(accounts)
    while page := list(islice(rest, NAMES_AT_ONCE)):
        yield page
