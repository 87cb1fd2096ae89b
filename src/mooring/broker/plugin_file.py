"""``accounts.db``: what the broker's plugin reads when a client connects.

Only Mooring writes it. A change is one transaction and leaves a row in ``change``, so the
plugin reads again what changed and nothing else. ``seq`` and ``epoch`` begin at the time the
file was made and only grow, also when the file is made again: a reader that still holds what
an older file said notices.

Everything here blocks; the authority calls it in a thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mooring.broker.plugin_rights import rights_of, template, values_of
from mooring.errors import BrokerUnavailable
from mooring.identity.account import NO_QUOTA, Account, Quota, Rights
from mooring.store.engine import now_ms

__all__ = ["FORMAT", "AccountsFile", "FileLost", "Held"]

log = logging.getLogger(__name__)

FORMAT = 1
CHANGES_KEPT = 10_000
NAMED_MOST = 2_000
"""Changes of one transaction that are named; above, the plugin reads everything again."""

LOCK_WAIT_SECONDS = 15.0
SESSIONS_EACH = 20
"""Client ids kept for one account; a device that makes up more keeps none of the further ones."""

_NAMES_AT_ONCE = 500
_LOGS = ("-wal", "-shm")

_SCHEMA = """
CREATE TABLE account(
  username TEXT PRIMARY KEY, verifier TEXT, next_verifier TEXT,
  locked INTEGER NOT NULL DEFAULT 0, client_id TEXT, rights INTEGER NOT NULL,
  vars TEXT NOT NULL DEFAULT '', tenant TEXT NOT NULL DEFAULT '',
  service INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0,
  max_connections INTEGER, max_messages INTEGER, max_bytes INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX account_client_id ON account(client_id) WHERE client_id IS NOT NULL;
CREATE TABLE certificate(serial TEXT PRIMARY KEY, username TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX certificate_username ON certificate(username);
CREATE TABLE rights(id INTEGER PRIMARY KEY AUTOINCREMENT, publish TEXT NOT NULL,
  subscribe TEXT NOT NULL, UNIQUE(publish, subscribe));
CREATE TABLE tenant(name TEXT PRIMARY KEY, max_connections INTEGER, max_messages INTEGER,
  max_bytes INTEGER) WITHOUT ROWID;
CREATE TABLE session(client_id TEXT PRIMARY KEY, username TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX session_username ON session(username);
CREATE TABLE change(seq INTEGER PRIMARY KEY AUTOINCREMENT, username TEXT);
"""

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


class FileLost(Exception):
    """The file is missing, damaged or of another format; the reason is its text. Only
    ``replace`` can make it again, because only it knows every account."""


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


class AccountsFile:
    """The file of one broker.

    Args:
        path: ``accounts.db``.
        service: the platform's own account, always in it.

    Every method raises ``FileLost`` when the file cannot be used as it is and
    ``BrokerUnavailable`` when it cannot be written now (locked, disk full, not permitted).
    """

    def __init__(self, path: Path, service: Account) -> None:
        self._path = path
        self._service = service
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None  # of the file that is open
        self._rights: dict[tuple[str, str], int] = {}
        self._version: int | None = None  # of the file, when the rights were read

    # ------------------------------------------------------------------ changing

    def put(self, accounts: Sequence[Account]) -> int:
        """Writes what differs; the number of the change that the broker must know."""
        with self._transaction() as change:
            names = [account.username for account in accounts]
            change.put(accounts, self._held(change.db, names))
        return change.number

    def remove(self, usernames: Sequence[str]) -> int:
        """Deletes accounts; unknown names and the platform's own are passed over."""
        with self._transaction() as change:
            wanted = [name for name in usernames if name != self._service.username]
            change.remove(self._held(change.db, wanted))
        return change.number

    def kick(self, usernames: Sequence[str]) -> int:
        """Raises the epoch: live sessions end."""
        with self._transaction() as change:
            change.kick(self._held(change.db, usernames))
        return change.number

    def replace(self, accounts: Sequence[Account]) -> int:
        """Makes it exactly these; a file that cannot be used is made again."""
        try:
            return self._replace(accounts)
        except FileLost as exc:
            if self._path.exists():
                log.warning("%s is made again: %s", self._path, exc)
            return self._make(accounts)

    def remember_sessions(self, logins: Mapping[str, tuple[str, bool]]) -> None:
        """Client ids of accounts that have no fixed one: while the broker keeps a session
        under such a client id, no other account may use it.

        Args:
            logins: client id → username, and whether the session outlives the connection.
        """
        with self._reading() as db:
            known = _sessions(db, list(logins))
        new = [(c, u) for c, (u, kept) in logins.items() if kept and c not in known]
        over = [(c, u) for c, (u, kept) in logins.items() if not kept and known.get(c) == u]
        if not new and not over:
            return
        with self._transaction() as change:
            change.db.executemany("DELETE FROM session WHERE client_id=? AND username=?", over)
            change.db.executemany(
                "INSERT INTO session(client_id, username) SELECT ?1, username FROM account"
                " WHERE username=?2 AND client_id IS NULL AND NOT service AND"
                " (SELECT count(*) FROM session WHERE username=?2) < ?3"
                " ON CONFLICT DO NOTHING",
                [(client_id, username, SESSIONS_EACH) for client_id, username in new],
            )

    # ------------------------------------------------------------------ asking

    def usernames(self) -> set[str]:
        """Every account that is not locked, but the platform's own."""
        with self._reading() as db:
            rows = db.execute("SELECT username FROM account WHERE NOT locked AND NOT service")
            return {name for (name,) in rows}

    def held(self) -> tuple[dict[str, Held], dict[int, tuple[str, str]]]:
        """Every account, the platform's own too, and every set of rights by its number."""
        with self._reading() as db:
            rights = {
                number: (publish, subscribe)
                for number, publish, subscribe in db.execute(
                    "SELECT id, publish, subscribe FROM rights"
                )
            }
            return self._held(db, None), rights

    def account(self, username: str) -> tuple[Held, Rights] | None:
        """One account with its rights written out; ``None``: unknown."""
        with self._reading() as db:
            found = self._held(db, [username]).get(username)
            if found is None:
                return None
            publish, subscribe = db.execute(
                "SELECT publish, subscribe FROM rights WHERE id=?", (found.rights,)
            ).fetchone() or ("", "")
            return found, rights_of(publish, subscribe, found.vars.split("\n"))

    def tenants(self) -> dict[str, Quota]:
        """The tenants that have limits."""
        with self._reading() as db:
            return _tenants(db)

    def number(self) -> int:
        """The newest change."""
        with self._reading() as db:
            return _newest(db)

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        if self._db is not None:
            self._db.close()
        self._db, self._identity, self._version = None, None, None

    # ------------------------------------------------------------------ inside

    def _replace(self, accounts: Sequence[Account], *, first: bool = False) -> int:
        with self._transaction() as change:
            change.first = first
            held = self._held(change.db, None)
            wanted = {account.username for account in accounts} | {self._service.username}
            change.remove({name: row for name, row in held.items() if name not in wanted})
            change.put(
                [*(a for a in accounts if a.username != self._service.username), self._service],
                held,
            )
            change.only_tenants({account.tenant for account in accounts})
            change.db.execute(
                "DELETE FROM rights WHERE id NOT IN (SELECT DISTINCT rights FROM account)"
            )
            self._version = None
        return change.number

    def _held(self, db: sqlite3.Connection, names: Sequence[str] | None) -> dict[str, Held]:
        what = f"SELECT {_COLUMNS}, epoch FROM account"  # noqa: S608 - columns only
        serials: dict[str, set[str]] = {}
        rows: list[tuple[Any, ...]] = []
        if names is None:
            rows = db.execute(what).fetchall()
            found = db.execute("SELECT username, serial FROM certificate").fetchall()
        else:
            found = []
            for start in range(0, len(names), _NAMES_AT_ONCE):
                some = names[start : start + _NAMES_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows += db.execute(f"{what} WHERE username IN ({marks})", some).fetchall()
                found += db.execute(
                    f"SELECT username, serial FROM certificate WHERE username IN ({marks})",  # noqa: S608 - marks only
                    some,
                ).fetchall()
        for username, serial in found:
            serials.setdefault(username, set()).add(serial)
        nothing: frozenset[str] = frozenset()
        return {
            row[0]: Held._make(
                (*row[1:], frozenset(serials[row[0]]) if row[0] in serials else nothing)
            )
            for row in rows
        }

    @contextmanager
    def _transaction(self) -> Iterator[_Change]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                self._know_rights(db)
                change = _Change(db, self._rights, self._service.username)
                yield change
                change.finish()
                db.execute("COMMIT")
            except BaseException:
                self._version = None
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._open()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # a table or column is missing
                self.close()
                raise FileLost(str(exc)) from exc
            # Locked, disk full, read-only: what is in the file stays as it is.
            raise BrokerUnavailable(
                f"{self._path} cannot be used: {exc}.",
                hint="See the disk's free space and the file's owner.",
                code="accounts_file_unusable",
            ) from exc
        except sqlite3.DatabaseError as exc:
            self.close()
            raise FileLost(str(exc)) from exc

    def _open(self) -> sqlite3.Connection:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self.close()
            raise FileLost("it is missing") from None
        except OSError as exc:
            raise BrokerUnavailable(f"{self._path} cannot be read: {exc.strerror}.") from exc
        identity = (found.st_dev, found.st_ino)
        if self._db is not None and identity == self._identity:
            return self._db
        self.close()
        db = self._connect()
        try:
            _check_format(db)
        except BaseException:
            db.close()
            raise
        self._db, self._identity = db, identity
        return db

    def _know_rights(self, db: sqlite3.Connection) -> None:
        """Reads them again when somebody else has written the file; under the write lock."""
        version = int(db.execute("PRAGMA data_version").fetchone()[0])
        if version != self._version:
            self._rights = {
                (publish, subscribe): number
                for number, publish, subscribe in db.execute(
                    "SELECT id, publish, subscribe FROM rights"
                )
            }
            self._version = version

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        # Every start writes the file from the database: after a power cut it may be behind.
        db.execute("PRAGMA synchronous=NORMAL")
        return db

    def _make(self, accounts: Sequence[Account]) -> int:
        """A whole file instead of the one that cannot be used, by renaming: an empty one, if
        only for a moment, would end every session."""
        self.close()
        new = AccountsFile(self._path.with_name(f".{self._path.name}.new"), self._service)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _unlink(new._path, "", *_LOGS)
            os.close(os.open(new._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            new._create()
            number = new._replace(accounts, first=True)
            new.close()  # which puts its log into the file
            _unlink(self._path, *_LOGS)  # another file's log must not be taken for its own
            new._path.replace(self._path)
        except OSError as exc:
            raise BrokerUnavailable(f"{self._path} cannot be written: {exc.strerror}.") from exc
        finally:
            new.close()
            _unlink(new._path, "", *_LOGS)
        return number

    def _create(self) -> None:
        db = self._connect()
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(
                f"BEGIN;{_SCHEMA}INSERT INTO change(seq) VALUES({now_ms()});"
                f"PRAGMA user_version={FORMAT};COMMIT;"
            )
        except sqlite3.OperationalError as exc:
            raise BrokerUnavailable(f"{self._path} cannot be written: {exc}.") from exc
        finally:
            db.close()


class _Change:
    """One transaction: what it writes, and the rows that tell the plugin."""

    def __init__(
        self, db: sqlite3.Connection, rights: dict[tuple[str, str], int], service: str
    ) -> None:
        self.db = db
        self._service = service
        self._rights = rights
        self._names: list[str] = []
        self._tenants: dict[str, Quota] | None = None  # as the file has them; read when needed
        self._everything = False  # whether more changed than single accounts
        self.first = False
        """The file is new: what it holds may have been in force before it was lost, so these
        epochs end no session."""
        self.number = _newest(db)

    def put(self, accounts: Sequence[Account], held: Mapping[str, Held]) -> None:
        rows, serials, ids = [], [], []
        for account in accounts:
            self._tenant(account)
            before = held.get(account.username)
            now = self._wanted(account, before)
            if before == now:
                continue
            self._names.append(account.username)
            rows.append((account.username, now))
            if before is not None and before.client_id is not None:
                ids.append((account.username,))
            if (before.certificates if before else frozenset()) != now.certificates:
                serials.append(account.username)
        # A client id may go from one account to another in one transaction.
        self.db.executemany("UPDATE account SET client_id=NULL WHERE username=?", ids)
        for name, row in rows:
            self._write(name, row)
        self._certificates(serials, dict(rows))

    def _write(self, name: str, row: Held) -> None:
        values = (
            *(name, row.verifier, row.next_verifier, int(row.locked), row.client_id),
            *(row.rights, row.vars, row.tenant, int(row.service)),
            *(row.max_connections, row.max_messages, row.max_bytes, row.epoch),
        )
        try:
            self.db.execute(_PUT, values)
        except sqlite3.IntegrityError:
            # The client id is another account's. Without one this account may use any but
            # those of others, so it stays away from it all the same.
            log.warning("the client id %s of %s belongs to another account", row.client_id, name)
            self.db.execute(_PUT, (*values[:4], None, *values[5:]))

    def _certificates(self, names: Sequence[str], rows: Mapping[str, Held]) -> None:
        self.db.executemany("DELETE FROM certificate WHERE username=?", [(n,) for n in names])
        self.db.executemany(
            "INSERT OR REPLACE INTO certificate(serial, username) VALUES(?,?)",
            [(serial, name) for name in names for serial in sorted(rows[name].certificates)],
        )

    def _tenant(self, account: Account) -> None:
        """Writes what its tenant may take, where that differs."""
        if self._tenants is None:
            self._tenants = _tenants(self.db)
        name, quota = account.tenant, account.tenant_quota
        if not name or self._tenants.get(name, NO_QUOTA) == quota:
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

    def only_tenants(self, names: Set[str]) -> None:
        """Deletes what other tenants might take: they have no accounts."""
        gone = [(name,) for name in _tenants(self.db) if name not in names]
        self.db.executemany("DELETE FROM tenant WHERE name=?", gone)

    def remove(self, held: Mapping[str, Held]) -> None:
        names = [(name,) for name in held]
        self.db.executemany("DELETE FROM account WHERE username=?", names)
        self.db.executemany("DELETE FROM certificate WHERE username=?", names)
        self.db.executemany("DELETE FROM session WHERE username=?", names)
        self._names += held

    def kick(self, held: Mapping[str, Held]) -> None:
        self.db.executemany(
            "UPDATE account SET epoch=? WHERE username=?",
            [(self.number + 1, name) for name in held],
        )
        self._names += held

    def finish(self) -> None:
        """Says what changed; nothing if nothing did."""
        if not self._names and not self._everything:
            return
        named = len(self._names) <= NAMED_MOST and not self._everything
        told: Sequence[str | None] = self._names if named else [None]
        self.db.executemany("INSERT INTO change(username) VALUES(?)", [(name,) for name in told])
        self.number = _newest(self.db)
        self.db.execute("DELETE FROM change WHERE seq <= ?", (self.number - CHANGES_KEPT,))

    def _wanted(self, account: Account, before: Held | None) -> Held:
        values = values_of(account)
        certificates = frozenset(account.certificates)
        epoch = before.epoch if before is not None else 0 if self.first else self.number + 1
        if before is not None and _ends_sessions(before, account, certificates):
            epoch = self.number + 1
        return Held(
            account.verifier,
            account.next_verifier,
            account.locked,
            account.client_id,
            self._rights_number(account.rights, values),
            "\n".join(values),
            account.tenant,
            account.username == self._service,
            account.quota.connections,
            account.quota.messages,
            account.quota.bytes,
            epoch,
            certificates,
        )

    def _rights_number(self, rights: Rights, values: Sequence[str]) -> int:
        texts = (template(rights.publish, values), template(rights.subscribe, values))
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


def _unlink(path: Path, *endings: str) -> None:
    for ending in endings:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _check_format(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise FileLost(f"its format is {version}, not {FORMAT}")


def _sessions(db: sqlite3.Connection, client_ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(client_ids), _NAMES_AT_ONCE):
        some = client_ids[start : start + _NAMES_AT_ONCE]
        marks = ",".join("?" * len(some))
        found |= dict(
            db.execute(
                f"SELECT client_id, username FROM session WHERE client_id IN ({marks})",  # noqa: S608 - marks only
                some,
            )
        )
    return found


def _tenants(db: sqlite3.Connection) -> dict[str, Quota]:
    rows = db.execute("SELECT name, max_connections, max_messages, max_bytes FROM tenant")
    return {name: Quota(*values) for name, *values in rows}


def _newest(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT max(seq) FROM change").fetchone()[0] or 0)
