"""What a driver's error means: every class of both engines, classified once.

    RETRY    it goes away by itself: a lock, a lost connection, a full disk, a failover
    REFUSE   a value cannot be stored, and could not be the next time either
    FATAL    somebody has to change something first; the sentence says what
    OURS     a fault of this program: a statement that is wrong

PostgreSQL is judged by SQLSTATE (its first two letters are the class, some codes of a class are
judged by themselves), SQLite by its primary result code. Errors that a driver raises without
asking the server have neither and are judged by their type.

While the platform runs, FATAL is retried as well: a person may repair it, and nothing
is lost meanwhile. At the start it ends the command with its sentence.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mooring.errors import DatabaseUnavailable, DatabaseUnusable, Internal, Invalid, MooringError

__all__ = [
    "POSTGRESQL",
    "SQLITE",
    "Fault",
    "Judgement",
    "first_line",
    "judge",
    "of_driver",
    "translated",
]

REPEATED = 300  # characters of a driver's sentence that are repeated


class Judgement(StrEnum):
    """What to do about an error."""

    RETRY = "retry"
    REFUSE = "refuse"
    FATAL = "fatal"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Fault:
    """A judgement, and what a person can do about it."""

    judgement: Judgement
    remedy: str = ""


_AGAIN = "Check that the database runs, has disk space and is not locked, then try again."
_RETRY = Fault(Judgement.RETRY, _AGAIN)
_REFUSE = Fault(Judgement.REFUSE)
_OURS = Fault(Judgement.OURS)
_SCHEMA = Fault(
    Judgement.FATAL,
    "The schema is not the one this version needs. Run `mooring db migrate`, or restore a backup.",
)

POSTGRESQL: dict[str, Fault] = {
    "01": _OURS,  # warning
    "02": _OURS,  # no data
    "03": _OURS,  # SQL statement not yet complete
    "08": _RETRY,  # connection exception
    "09": _OURS,  # triggered action exception
    "0A": _OURS,  # feature not supported
    "0B": _OURS,  # invalid transaction initiation
    "0F": _OURS,  # locator exception
    "0L": _OURS,  # invalid grantor
    "0P": _OURS,  # invalid role specification
    "0Z": _OURS,  # diagnostics exception
    "10": _OURS,  # XQuery error
    "20": _OURS,  # case not found
    "21": _OURS,  # cardinality violation
    "22": _REFUSE,  # data exception
    "23": _REFUSE,  # integrity constraint violation
    # No check of ours can fail but the one for a partition, which is then made.
    "23514": _RETRY,  # check violation
    "24": _OURS,  # invalid cursor state
    "25": _RETRY,  # invalid transaction state; 25P03: it was idle for too long
    "25006": Fault(
        Judgement.RETRY,
        "The server accepts no changes now. This is normal during a failover. Otherwise set "
        "database_url to the primary server, or turn default_transaction_read_only off.",
    ),
    "26": _RETRY,  # invalid SQL statement name: a pooler gave us another session
    "27": _OURS,  # triggered data change violation
    "28": Fault(
        Judgement.FATAL,
        "The server rejects the login. Check the username and password in database_url and "
        "pg_hba.conf on the server.",
    ),
    "2B": _OURS,  # dependent privilege descriptors still exist
    "2D": _OURS,  # invalid transaction termination
    "2F": _OURS,  # SQL routine exception
    "34": _OURS,  # invalid cursor name
    "38": _OURS,  # external routine exception
    "39": _OURS,  # external routine invocation exception
    "3B": _OURS,  # savepoint exception
    "3D": Fault(
        Judgement.FATAL,
        "Create the database: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0; or "
        "correct its name in database_url.",
    ),
    "3F": Fault(
        Judgement.FATAL,
        "Create the schema, or correct search_path: ALTER ROLE name SET search_path = public;",
    ),
    "40": _RETRY,  # transaction rollback: deadlock, serialization failure
    "42": _OURS,  # syntax error or access rule violation
    "42501": Fault(
        Judgement.FATAL,
        "Give the role of database_url the rights: GRANT USAGE, CREATE ON SCHEMA public TO "
        "name; or make it the owner of the database: ALTER DATABASE database OWNER TO name;",
    ),
    "42703": _SCHEMA,  # undefined column
    "42883": _SCHEMA,  # undefined function
    "42P01": _SCHEMA,  # undefined table
    "44": _OURS,  # WITH CHECK OPTION violation
    "53": _RETRY,  # insufficient resources: disk, memory, connections
    "54": _REFUSE,  # program limit exceeded: a row or an index entry is too large
    "55": _RETRY,  # object not in prerequisite state: locks
    "57": _RETRY,  # operator intervention: shutdown, time-out, cancelled
    "58": _RETRY,  # system error: input and output
    "72": _RETRY,  # snapshot failure
    "F0": Fault(Judgement.FATAL, "Correct the configuration file of the server."),
    "HV": _OURS,  # foreign data wrapper error
    "P0": _OURS,  # PL/pgSQL error
    "XX": _RETRY,  # internal error of the server
    "XX001": Fault(Judgement.FATAL, "The database is damaged. Restore it from a backup."),
    "XX002": Fault(Judgement.FATAL, "An index is damaged. Run REINDEX, or restore a backup."),
}
"""SQLSTATE, or its class, → what it means. https://www.postgresql.org/docs/current/errcodes-appendix.html"""

_DAMAGED = Fault(
    Judgement.FATAL,
    "The database file is damaged. Stop Mooring and restore a backup: mooring restore FILE.",
)
_NO_RIGHTS = Fault(
    Judgement.FATAL,
    "The database file cannot be written. Check its owner and mode, and whether its disk is "
    "mounted read-only.",
)

SQLITE: dict[int, Fault] = {
    sqlite3.SQLITE_ERROR: _OURS,
    sqlite3.SQLITE_INTERNAL: _OURS,
    sqlite3.SQLITE_PERM: _NO_RIGHTS,
    sqlite3.SQLITE_ABORT: _RETRY,
    sqlite3.SQLITE_BUSY: _RETRY,
    sqlite3.SQLITE_LOCKED: _RETRY,
    sqlite3.SQLITE_NOMEM: _RETRY,
    sqlite3.SQLITE_READONLY: _NO_RIGHTS,
    sqlite3.SQLITE_INTERRUPT: _RETRY,
    sqlite3.SQLITE_IOERR: _RETRY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTFOUND: _OURS,
    sqlite3.SQLITE_FULL: _RETRY,
    sqlite3.SQLITE_CANTOPEN: _RETRY,
    sqlite3.SQLITE_PROTOCOL: _RETRY,
    sqlite3.SQLITE_EMPTY: _OURS,
    sqlite3.SQLITE_SCHEMA: _RETRY,
    sqlite3.SQLITE_TOOBIG: _REFUSE,
    sqlite3.SQLITE_CONSTRAINT: _REFUSE,
    sqlite3.SQLITE_MISMATCH: _REFUSE,
    sqlite3.SQLITE_MISUSE: _OURS,
    sqlite3.SQLITE_NOLFS: Fault(
        Judgement.FATAL, "The file system does not support large files. Move the data directory."
    ),
    sqlite3.SQLITE_AUTH: _NO_RIGHTS,
    sqlite3.SQLITE_FORMAT: _DAMAGED,
    sqlite3.SQLITE_RANGE: _OURS,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_NOTICE: _OURS,
    sqlite3.SQLITE_WARNING: _OURS,
}
"""Primary result code → what it means. https://www.sqlite.org/rescode.html"""

_NO_SUCH = ("no such table", "no such column")  # both are a plain SQLITE_ERROR

# libpq hands no SQLSTATE on when connecting fails. These are a server's words in English; in
# another language such a failure is merely retried.
_CONNECTING = (
    (re.compile(r"(password|peer|ident|GSSAPI) authentication failed"), "28"),
    (re.compile(r"no pg_hba\.conf entry|role .* does not exist|not permitted to log in"), "28"),
    (re.compile(r"database .* does not exist"), "3D"),
    (re.compile(r"permission denied"), "42501"),
)

# Raised by a driver before anything was sent. The names are those of PEP 249, the same for both
# drivers: psycopg is not imported, since commands on SQLite do without it. The first that fits
# decides.
_BY_NAME = (
    ("DataError", _REFUSE),  # NUL in a text
    ("IntegrityError", _REFUSE),
    ("OperationalError", _RETRY),  # connecting, or a connection that is gone
)
_DRIVERS = ("psycopg", "sqlite3")


def of_driver(fault: BaseException) -> bool:
    """Whether an error comes from a driver or SQLAlchemy, or from turning a value into what a
    driver sends."""
    if isinstance(fault, (DBAPIError, sa.exc.TimeoutError, OverflowError, UnicodeEncodeError)):
        return True
    return bool(_names(fault))


def _names(fault: BaseException) -> frozenset[str]:
    """The classes of a driver that an error belongs to."""
    return frozenset(
        one.__name__ for one in type(fault).__mro__ if one.__module__.startswith(_DRIVERS)
    )


def judge(fault: BaseException) -> Fault:
    """What an error of a driver (or SQLAlchemy's around it) means. Pure."""
    if isinstance(fault, DBAPIError):
        if fault.connection_invalidated:
            return _RETRY
        fault = fault.orig or fault
    if isinstance(fault, (OverflowError, UnicodeError)):  # 64 bits; half a surrogate pair
        return _REFUSE
    if isinstance(fault, sa.exc.TimeoutError):  # no connection of the pool became free
        return _RETRY
    state, code = getattr(fault, "sqlstate", None), getattr(fault, "sqlite_errorcode", None)
    if isinstance(state, str):
        found = POSTGRESQL.get(state) or POSTGRESQL.get(state[:2], _OURS)
    elif not isinstance(code, int):
        found = _not_sent(fault)
    elif any(words in str(fault) for words in _NO_SUCH):
        found = _SCHEMA
    else:
        found = SQLITE.get(code & 0xFF, _OURS)
    return found


def _not_sent(fault: BaseException) -> Fault:
    """An error without a code."""
    names = _names(fault)
    for words, like in _CONNECTING:
        if "OperationalError" in names and words.search(str(fault)):
            return POSTGRESQL[like]
    if "InterfaceError" in names and not isinstance(fault, sqlite3.Error):
        return _RETRY  # a connection that was closed meanwhile
    return next((found for name, found in _BY_NAME if name in names), _OURS)


def translated(fault: BaseException) -> MooringError:
    """The error of Mooring for an error of a driver: ``DatabaseUnavailable`` for what is to be
    retried, ``DatabaseUnusable`` (which is one, too) for what a person has to change, ``Invalid``
    for a value and ``Internal`` for a fault of ours."""
    if isinstance(fault, sa.exc.TimeoutError):
        return DatabaseUnavailable(
            "All connections to the database are in use.", hint="Try again in a moment."
        )
    found = judge(fault)
    said = first_line(fault.orig or fault if isinstance(fault, DBAPIError) else fault)
    match found.judgement:
        case Judgement.RETRY:
            return DatabaseUnavailable(f"The database is not working: {said}.", hint=found.remedy)
        case Judgement.FATAL:
            return DatabaseUnusable(f"The database cannot be used: {said}.", hint=found.remedy)
        case Judgement.REFUSE:
            return Invalid(
                f"The database cannot store a value: {said}.",
                hint="Remove control characters, and shorten long values.",
                code="value_not_storable",
            )
        case Judgement.OURS:
            return Internal(f"A database statement is invalid: {said}.")


def first_line(fault: BaseException) -> str:
    """What a driver says, without the lines below: they are advice, or quote values."""
    line = (str(fault).strip() or type(fault).__name__).splitlines()[0].rstrip(".")
    return line[:REPEATED]
