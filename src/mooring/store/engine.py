"""Opening the database: SQLite by default, PostgreSQL by URL; one place for both's settings.

``Database`` hands out transactions (``read``, ``write``) as SQLAlchemy connections. SQLite has
one writer, so ``write`` begins with BEGIN IMMEDIATE: a transaction that will write takes its
place in the queue immediately and cannot fail half-way for lack of it. On PostgreSQL an advisory
lock does the same, so that a rule that reads and then writes (is the name free? is this the
last administrator?) is as safe there. It is held until the commit is on the disk; what need not
wait for that (``lasting=False``, ``early``) gives it back before. Ingest's batches are not part of
it: they have a connection and rules of their own, and run side by side; nor is maintenance
(``apart``).
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from mooring.clock import now_ms
from mooring.errors import DatabaseUnavailable, Internal
from mooring.store import wake
from mooring.store.faults import first_line, of_driver, translated
from mooring.store.urls import parse_url, sqlite_file

__all__ = [
    "Database",
    "Noted",
    "Told",
    "first_line",
    "log_bytes",
    "notes_of",
    "now_ms",
    "open_database",
    "sqlite_pragmas",
    "unhurried",
]

LOCK_WAIT_SECONDS = 30

# SQLite. A commit writes whole pages to its log, also where a few messages change a few rows
# in each of a dozen tables and indexes: small pages keep that little.
PAGE_BYTES = 4096
LOG_BYTES = 64 * 1024 * 1024  # the log is brought into the database file when it is this long
LOG_BYTES_MAX = 256 * 1024 * 1024  # the same with many devices: see ``log_bytes``
_LOG_PAGES_EACH = 4  # of a device

# PostgreSQL. Three processes of an installation stay well below a server's 100 connections.
POOL_SIZE, POOL_OVERFLOW = 5, 15
POOL_WAIT_SECONDS = 10  # for a free one
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60  # no request and no job needs one that long; see ``unhurried``
PING_AFTER_SECONDS = 0.5  # a connection that was used less long ago is not tried before its use
WRITER_LOCK = 0x6D6F_6F77  # the number of the advisory lock
WRITER_IDLE = "30s"  # a writer that has fallen silent must not hold up the others
IDLE_SECONDS = 600  # a transaction whose client is silent: a slow reader of an export

# In one piece: one trip to the server.
_ALONE = (
    "BEGIN; SELECT pg_advisory_xact_lock({number}),"
    " set_config('idle_in_transaction_session_timeout', '{idle}', true)"
)
_ALONE_WITHOUT_DISK = _ALONE + ", set_config('synchronous_commit', 'off', true)"
_BRING_TO_DISK = "SELECT pg_logical_emit_message(true, 'mooring', '')"
"""A commit of its own that waits for the disk, and with it everything that was committed before;
it changes no row."""

_sync = getattr(os, "fdatasync", os.fsync)  # what SQLite itself uses


@dataclass(frozen=True, slots=True)
class Noted:
    """A pending change of the broker that a transaction wrote."""

    id: int
    action: str
    username: str


@dataclass(frozen=True, slots=True)
class Notes:
    """What one transaction wrote for others; see ``Database.follow_changes``.

    Attributes:
        grace_ms: how long this process has for its changes before another one applies them.
        hints: what the process that is woken may look at first; see ``Database.follow_news``.
    """

    grace_ms: int = 0
    changes: list[Noted] = field(default_factory=list)
    hints: list[tuple[int | str, ...]] = field(default_factory=list)


Told = Callable[[str, Sequence[tuple[int | str, ...]]], None]

_NOTES = "mooring_notes"
_USED_AT = "mooring_used_at"  # when the connection was last given back, monotonic
_BEGIN = "mooring_begin"  # what begins the next transaction, which will write


def notes_of(connection: Connection) -> Notes:
    """The notes of the transaction that ``Database.write`` began on this connection."""
    found = connection.info.get(_NOTES)
    return found if isinstance(found, Notes) else Notes()


class Database:
    """One engine and its transactions. ``dialect`` is ``sqlite`` or ``postgresql``."""

    def __init__(
        self, engine: Engine, wake_folder: Path | None = None, synchronous: str = "FULL"
    ) -> None:
        self.engine = engine
        self._synchronous = synchronous
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        # What is committed is in this file first. A database that does not wait for the disk has
        # none here.
        self._log = Path(f"{file}-wal") if file and synchronous == "FULL" else None
        self.dialect = engine.dialect.name
        self.wake_folder = wake_folder
        """Where processes that wait for commits have their pipes: see ``mooring.store.wake``."""
        # SQLite has no trips, and begins a transaction when the first statement needs one.
        self._brief = (
            engine if self.is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._grace_ms = 0
        self._committed: Callable[[Sequence[Noted]], None] | None = None
        self._told: Told | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.dialect == "sqlite"

    @contextmanager
    def read(self, *, brief: bool = False) -> Iterator[Connection]:
        """A connection for reading.

        Args:
            brief: without a transaction around the statements, which saves two trips to a server.
                For a few statements that need no common state, and no cursor.

        Raises:
            DatabaseUnavailable: it cannot be reached, or has to be repaired first.
            Invalid: it cannot store or compare with a value.
        """
        engine = self._brief if brief else self.engine
        with _translated(), engine.connect() as connection:
            yield connection

    @contextmanager
    def write(
        self, *, news: bool | str = True, lasting: bool = True, early: bool = False
    ) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, rolled back by an exception.

        Args:
            news: whether another process may wait for what it writes; or the one kind of work
                that waits for it, as ``Waker`` is given it. The others look occasionally.
            lasting: whether it must survive a power cut (on PostgreSQL: or a crash of the server).
                What only says that a process runs need not, and does not wait for the disk then;
                the next commit that does takes it along.
            early: others see it while it is brought to the disk, and can write; the caller
                continues when it is there. For what nobody acts on outside the database without
                a lasting commit of their own, which brings this one to the disk, too.

        Raises:
            DatabaseUnavailable: it cannot be reached, is locked too long, is full or read-only.
            Invalid: it cannot store a value.
        """
        early = early and lasting and self._synchronous == "FULL"
        waits = lasting and not early
        engine = self.engine if self.is_sqlite else self._brief  # its BEGIN is in ``_alone``
        with _translated(), engine.connect() as connection:
            info = connection.info  # of the driver's connection, which may break
            info[_BEGIN] = "BEGIN IMMEDIATE" if self.is_sqlite else _alone(lasting=waits)
            with nullcontext() if waits else self._without_disk(connection), connection.begin():
                notes = info[_NOTES] = Notes(self._grace_ms)
                try:
                    yield connection
                finally:
                    del info[_NOTES]
            if early:
                self._tell(news, notes)
                self._bring_to_disk(connection)
        if notes.changes and self._committed is not None:
            self._committed(notes.changes)
        if not early:
            self._tell(news, notes)

    def _tell(self, news: bool | str, notes: Notes) -> None:
        """Others may look for what was committed."""
        if not news:
            return
        work = "" if news is True else str(news)
        if self.wake_folder is not None:
            wake.ring(self.wake_folder, work)
        elif self._told is not None:
            self._told(work, notes.hints)

    def _bring_to_disk(self, connection: Connection) -> None:
        """What was committed until now survives a power cut. With SQLite it is in the log, or was
        brought from there to the database file, which waits for the disk itself."""
        if not self.is_sqlite:
            connection.exec_driver_sql(_BRING_TO_DISK)
            return
        if self._log is None:
            return
        try:
            descriptor = os.open(self._log, os.O_RDONLY)
        except FileNotFoundError:
            return  # nobody has it open, so all of it is in the database file
        try:
            _sync(descriptor)
        except OSError as exc:
            raise DatabaseUnavailable(
                "The database cannot be brought to the disk.", hint="See the log of the system."
            ) from exc
        finally:
            os.close(descriptor)

    @contextmanager
    def _without_disk(self, connection: Connection) -> Iterator[None]:
        """SQLite's commits inside the block do not wait for the disk."""
        if not self.is_sqlite:
            yield
            return
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            if not connection.invalidated:  # else it is closed and not used again
                driver.execute(f"PRAGMA synchronous = {self._synchronous}")

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """A transaction that no other writer waits for: on PostgreSQL without their lock. For
        maintenance of what no rule of a domain reads and then writes. Raises as ``write``."""
        if self.is_sqlite:
            with self.write(news=False) as connection:
                yield connection
        else:
            with _translated(), self.engine.begin() as connection:
                yield connection

    def follow_changes(
        self, committed: Callable[[Sequence[Noted]], None] | None, grace_ms: int = 0
    ) -> None:
        """This process applies the changes of the broker that it commits itself.

        Args:
            committed: called after each commit that wrote some, in the thread that wrote;
                ``None``: no longer.
            grace_ms: how much later they are due for the process that applies what is left.
        """
        self._committed, self._grace_ms = committed, grace_ms

    def follow_news(self, told: Told | None) -> None:
        """Calls ``told`` after each commit of this process that others may wait for, with the
        kind of work (see ``write``) and the hints that the transaction noted, in the thread that
        wrote. Only where no pipes do that."""
        self._told = told

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise  # a rule of the schema: the service that wrote knows which, and says so
    except Exception as exc:
        found = translated(exc) if of_driver(exc) else None
        if found is None or isinstance(found, Internal):
            raise  # not the database's, or a fault of ours: with its traceback
        raise found from exc


def log_bytes(devices: int) -> int:
    """How long SQLite's log may be where so many devices send.

    A page that changed several times since the log was last brought into the database file is
    written there once. The messages of each device change a page of their own in the index, so the
    log has room for several changes of each of them.
    """
    return min(max(LOG_BYTES, _LOG_PAGES_EACH * PAGE_BYTES * devices), LOG_BYTES_MAX)


def sqlite_pragmas(synchronous: str = "FULL") -> list[str]:
    """What every SQLite connection sets; WAL lets readers continue while one writes."""
    return [
        f"PRAGMA busy_timeout = {int(LOCK_WAIT_SECONDS * 1000)}",
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {synchronous}",
        "PRAGMA foreign_keys = ON",
        "PRAGMA cache_size = -65536",
        f"PRAGMA wal_autocheckpoint = {LOG_BYTES // PAGE_BYTES}",
        f"PRAGMA journal_size_limit = {LOG_BYTES}",
    ]


def open_database(url: str, *, synchronous: str = "FULL", news: bool = True) -> Database:
    """Opens (and for SQLite creates) the database behind a SQLAlchemy URL.

    Args:
        news: whether other processes may wait for anything that is written with it.
        synchronous: SQLite's; NORMAL is for what can be worked out again after a power cut.

    Raises:
        InvalidSetting: for a URL that is not understood or names another engine.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = sqlite_file(url) if news else None
        folder = None if file is None else file.parent / wake.FOLDER
        return Database(_sqlite(parsed, synchronous), folder, synchronous)
    return Database(_postgres(parsed))


def _postgres(url: sa.URL) -> Engine:
    engine = sa.create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_use_lifo=True,  # those not needed stay idle
        hide_parameters=True,  # errors are logged; values may be secret
        connect_args={
            "client_encoding": "utf8",  # also where the server stores SQL_ASCII
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Committed immediately: the settings must outlive a first transaction that is rolled back.
        connection.autocommit = True
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false),"
            " set_config('lock_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false)",
            [f"{seconds}s" for seconds in (STATEMENT_SECONDS, LOCK_WAIT_SECONDS, IDLE_SECONDS)],
        )
        connection.autocommit = False

    engine.dialect.do_begin = _begin_postgres  # type: ignore[method-assign]

    @event.listens_for(engine, "checkin")
    def given_back(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def checked(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        """A restarted server is not an error of the next request: a connection is tried, unless
        it was used a moment ago and the server has sent nothing since. The trip to the server
        costs as much as a statement."""
        used_at = record.info.get(_USED_AT, float("-inf"))
        if time.monotonic() - used_at < PING_AFTER_SECONDS and not _has_input(connection):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.dbapi.Error as exc:  # type: ignore[union-attr]
            raise InvalidatePoolError("The connection has ended.") from exc

    return engine


def _has_input(connection: Any) -> bool:
    """Whether something waits to be read: of an idle connection, that the server has ended it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def unhurried(connection: Connection) -> None:
    """Takes the limits on time away until the transaction ends: for what goes through whole
    tables on purpose."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _sqlite(url: sa.URL, synchronous: str) -> Engine:
    pooled: dict[str, Any] = {}
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        # Those not needed stay idle: each has pages of the database in a memory of its own.
        pooled = {"pool_use_lifo": True}
    engine = sa.create_engine(
        url,
        **pooled,
        hide_parameters=True,  # errors are logged; values may be secret
        connect_args={"timeout": LOCK_WAIT_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own implicit BEGIN is off: ``_begin_sqlite`` decides.
        connection.isolation_level = None
        cursor = connection.cursor()
        # Must come before the first table.
        cursor.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        for pragma in sqlite_pragmas(synchronous):
            cursor.execute(pragma)
        cursor.close()

    # A listener to "begin" would do as well, but an engine with one asks for listeners several
    # times for each statement, which costs a quarter of it.
    engine.dialect.do_begin = _begin_sqlite  # type: ignore[method-assign]
    return engine


def _begin_sqlite(dbapi_connection: PoolProxiedConnection) -> None:
    driver: Any = dbapi_connection.driver_connection
    driver.execute(dbapi_connection.info.pop(_BEGIN, "BEGIN"))


def _begin_postgres(dbapi_connection: PoolProxiedConnection) -> None:
    """The driver begins a transaction by itself, with the first statement and in a trip of its
    own; one that will write begins here."""
    begin = dbapi_connection.info.pop(_BEGIN, None)
    if begin is not None:
        driver: Any = dbapi_connection.driver_connection
        driver.execute(begin, prepare=False)  # what is prepared is one statement


def _alone(*, lasting: bool) -> str:
    text = _ALONE if lasting else _ALONE_WITHOUT_DISK
    return text.format(number=WRITER_LOCK, idle=WRITER_IDLE)
