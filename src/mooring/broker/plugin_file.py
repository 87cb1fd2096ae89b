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
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from mooring.broker.file_lock import FileLock
from mooring.broker.plugin_compare import Comparison
from mooring.broker.plugin_rights import rights_of
from mooring.broker.plugin_rows import (
    NAMES_AT_ONCE,
    Change,
    Held,
    held_of,
    held_rows,
    newest,
    others,
    pages,
    quota_of_tenant,
    raw_rows,
)
from mooring.broker.protocol import Current, Difference, DifferenceKind
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account, Quota, Rights
from mooring.store.engine import now_ms

__all__ = ["FORMAT", "SCHEMA", "AccountsFile", "FileLost", "Held"]

log = logging.getLogger(__name__)

FORMAT = 1
LOCK_WAIT_SECONDS = 15.0
SESSIONS_EACH = 20
"""Client ids kept for one account; a device that makes up more keeps none of the further ones."""

_LOGS = ("-wal", "-shm")

SCHEMA = """
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


class FileLost(Exception):
    """The file is missing, damaged or of another format; the reason is its text. Only
    ``replace`` can make it again, because only it knows every account."""


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
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), LOCK_WAIT_SECONDS)
        self._db: sqlite3.Connection | None = None
        self._distrusted = ""  # why the file counts as lost although it can be read here
        self._identity: tuple[int, int] | None = None  # of the file that is open
        self._rights: dict[tuple[str, str], int] = {}
        self._version: int | None = None  # of the file, when the rights were read

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes the file in this block, nor puts another in its place: what is
        read from the database here is not older than what the file has.

        Raises:
            BrokerUnavailable: another process has it for too long.
        """
        with self._lock.held():
            yield

    # ------------------------------------------------------------------ changing

    def put(self, accounts: Sequence[Account]) -> int:
        """Writes what differs; the number of the change that the broker must know."""
        with self._transaction() as change:
            names = [account.username for account in accounts]
            change.put(accounts, held_rows(change.db, names))
        return change.number

    def remove(self, usernames: Sequence[str]) -> int:
        """Deletes accounts; unknown names and the platform's own are passed over."""
        with self._transaction() as change:
            wanted = [name for name in usernames if name != self._service.username]
            change.remove(list(held_rows(change.db, wanted)))
        return change.number

    def kick(self, usernames: Sequence[str]) -> int:
        """Raises the epoch: live sessions end."""
        with self._transaction() as change:
            change.kick(list(held_rows(change.db, usernames)))
        return change.number

    def refresh(
        self,
        usernames: Sequence[str],
        read: Callable[[Sequence[str]], Current],
        kicks: Sequence[str] = (),
    ) -> tuple[int, Current]:
        """Makes these logins as the database has them now, in one transaction; the number of
        the change and what was read."""
        with self.alone():
            current = read(usernames) if usernames else Current()
            keep = {account.username for account in current.accounts} | {self._service.username}
            gone = [n for n in usernames if n not in keep and n not in current.waiting]
            with self._transaction() as change:
                held = held_rows(change.db, [*usernames, *kicks])
                change.remove([name for name in gone if name in held])
                change.put(current.accounts, held)
                change.kick([name for name in kicks if name in held])
        return change.number, current

    def replace(self, accounts: Sequence[Account]) -> int:
        """Makes it exactly these accounts; see ``renew``."""
        return self.renew(lambda: accounts)

    def renew(self, read: Callable[[], Iterable[Account]]) -> int:
        """Makes it exactly these accounts, a page at a time; a file that cannot be used is
        made again. ``read`` is called while nobody else writes, twice at most."""
        with self.alone():
            try:
                return self._replace(read())
            except FileLost as exc:
                if self._path.exists():
                    log.warning("%s is created again: %s", self._path, exc)
                return self._make(read())

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

    def compare(self, accounts: Iterable[Account]) -> list[Difference]:
        """What differs from exactly these accounts, the platform's own among them; holds a
        page of them at a time, and 8 bytes for each."""
        found: list[Difference] = []
        with self._snapshot() as db:
            comparison = Comparison(_rights(db), partial(quota_of_tenant, db))
            seen = array("q")
            for page in pages(accounts):
                names = [account.username for account in page]
                rows, serials = raw_rows(db, names)
                seen.extend(map(hash, names))
                for account in page:
                    row = rows.get(account.username)
                    if row is None:
                        found += comparison.differences(account, None)
                    elif row[0] in serials or not comparison.equals(account, row):
                        found += comparison.differences(account, held_of(row, serials))
            found += [Difference(DifferenceKind.EXTRA, name) for name in others(db, seen)]
        return found

    def differing(
        self, usernames: Sequence[str], read: Callable[[Sequence[str]], Current]
    ) -> list[Difference]:
        """Which of these logins differ from what the database says now."""
        found: list[Difference] = []
        with self.alone(), self._snapshot() as db:
            comparison = Comparison(_rights(db), partial(quota_of_tenant, db))
            for start in range(0, len(usernames), NAMES_AT_ONCE):
                some = usernames[start : start + NAMES_AT_ONCE]
                current = read(some)
                held = held_rows(db, some)
                wanted = {account.username: account for account in current.accounts}
                for name in some:
                    if name in current.waiting:
                        continue
                    if name in wanted:
                        found += comparison.differences(wanted[name], held.get(name))
                    elif name in held:
                        found.append(Difference(DifferenceKind.EXTRA, name))
        return found

    def held(self) -> tuple[dict[str, Held], dict[int, tuple[str, str]]]:
        """Every account, the platform's own too, and every set of rights by its number."""
        with self._reading() as db:
            names = [name for (name,) in db.execute("SELECT username FROM account")]
            return held_rows(db, names), _rights(db)

    def account(self, username: str) -> tuple[Held, Rights] | None:
        """One account with its rights written out; ``None``: unknown."""
        with self._reading() as db:
            found = held_rows(db, [username]).get(username)
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
            return newest(db)

    def distrust(self, why: str) -> None:
        """Counts the file as lost until it is made again: the broker cannot read what this side
        can, for example after a log of another file was applied to it."""
        self.close()
        self._distrusted = why

    def stamp(self) -> tuple[object, ...]:
        """Equal as long as nothing has written the file, by hand or otherwise, but for what
        this object wrote that changed no account."""
        with self._reading() as db:
            version = db.execute("PRAGMA data_version").fetchone()[0]
            return self._identity, id(db), version, newest(db)

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        if self._db is not None:
            self._db.close()
        self._db, self._identity, self._version = None, None, None

    # ------------------------------------------------------------------ inside

    def _replace(self, accounts: Iterable[Account], *, first: bool = False) -> int:
        others = (a for a in accounts if a.username != self._service.username)
        with self._transaction(first=first) as change:
            change.put_all(chain(others, [self._service]))
            self._version = None
        return change.number

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """The file as it is at the first read."""
        with self._reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")

    @contextmanager
    def _transaction(self, *, first: bool = False) -> Iterator[Change]:
        with self.alone(), self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                self._know_rights(db)
                change = Change(db, self._rights, self._service.username, first=first)
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
        if self._distrusted:
            raise FileLost(self._distrusted)
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

    def _make(self, accounts: Iterable[Account]) -> int:
        """A whole file instead of the one that cannot be used, by renaming: an empty one, if
        only for a moment, would end every session."""
        self.close()
        new = AccountsFile(self._path.with_name(f".{self._path.name}.new"), self._service)
        new._lock = self._lock
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _unlink(new._path, "", *_LOGS)
            os.close(os.open(new._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            new._create()
            number = new._replace(accounts, first=True)
            new.close()  # which puts its log into the file
            _unlink(self._path, *_LOGS)  # another file's log must not be taken for its own
            new._path.replace(self._path)
            self._distrusted = ""
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
                f"BEGIN;{SCHEMA}INSERT INTO change(seq) VALUES({now_ms()});"
                f"PRAGMA user_version={FORMAT};COMMIT;"
            )
        except sqlite3.OperationalError as exc:
            raise BrokerUnavailable(f"{self._path} cannot be written: {exc}.") from exc
        finally:
            db.close()


def _unlink(path: Path, *endings: str) -> None:
    for ending in endings:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _check_format(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise FileLost(f"its format is {version}, not {FORMAT}")


def _sessions(db: sqlite3.Connection, client_ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(client_ids), NAMES_AT_ONCE):
        some = client_ids[start : start + NAMES_AT_ONCE]
        marks = ",".join("?" * len(some))
        found |= dict(
            db.execute(
                f"SELECT client_id, username FROM session WHERE client_id IN ({marks})",  # noqa: S608 - marks only
                some,
            )
        )
    return found


def _rights(db: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    return {
        number: (publish, subscribe)
        for number, publish, subscribe in db.execute("SELECT id, publish, subscribe FROM rights")
    }


def _tenants(db: sqlite3.Connection) -> dict[str, Quota]:
    rows = db.execute("SELECT name, max_connections, max_messages, max_bytes FROM tenant")
    return {name: Quota(*values) for name, *values in rows}
