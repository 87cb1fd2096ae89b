"""A throw-away PostgreSQL: a cluster of its own on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.programs import find_program
from tests.support.waiting import wait_until

__all__ = ["Postgres"]

SUPERUSER = "mooring_test"


# As a replica would: without foreign keys and triggers, so in any order.
_EMPTY = """
DO $$ DECLARE name text; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p')
        AND NOT relispartition AND relnamespace = 'public'::regnamespace
        AND relname <> 'alembic_version'
    LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
    PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
END $$
"""


class Postgres:
    """One PostgreSQL server process and its files; both are gone after ``stop``.

    PostgreSQL refuses to run as root. When the tests are root, it runs as the user
    ``postgres`` (which its package makes), in a directory outside pytest's, since those are
    closed to everybody else.

    Args:
        quick: it does not wait for the disk, and checks passwords at little cost. For tests that
            neither cut the power nor measure: what it has told the kernel survives a kill.
    """

    def __init__(self, *, quick: bool = False) -> None:
        self._quick = quick
        self._server = find_program("postgres", package="postgresql")
        self._initdb = find_program("initdb", package="postgresql")
        self._user, self._group = _unprivileged()
        self._password = secrets.token_hex(16)
        self._directory: Path | None = None
        self._child: Child | None = None
        self.port = 0

    # ---------------------------------------------------------------- its life

    def start(self) -> Postgres:
        """Makes the cluster and starts it; returns when it answers a query.

        Raises:
            AssertionError: it did not start; the text holds what it said.
        """
        self._directory = directory = Path(tempfile.mkdtemp(prefix="mooring-postgres-"))
        try:
            self._make_cluster(directory)
            self._start_server(directory)
        except BaseException:
            self.stop()
            raise
        return self

    def _make_cluster(self, directory: Path) -> None:
        if self._user is not None and self._group is not None:
            os.chown(directory, self._user, self._group)
        password_file = directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="ascii")
        if self._user is not None and self._group is not None:
            os.chown(password_file, self._user, self._group)
        made = subprocess.run(
            [
                self._initdb,
                f"--pgdata={directory / 'data'}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                f"--auth={'md5' if self._quick else 'scram-sha-256'}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",  # only the making; the server itself syncs
            ],
            user=self._user,
            group=self._group,
            extra_groups=None if self._user is None else [],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        password_file.unlink()
        if made.returncode:
            raise AssertionError(f"initdb ended with {made.returncode}:\n{made.stderr}")

    def crash(self) -> None:
        """SIGKILL for every process of the server at once, as when the machine loses power but
        for what the kernel still writes. ``restart`` brings it back."""
        if self._child is None:
            raise RuntimeError("This server was not started.")
        children = subprocess.run(
            ["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        self._child.process.kill()
        for number in children:
            with contextlib.suppress(ProcessLookupError):  # it has noticed by itself
                os.kill(int(number), signal.SIGKILL)
        self._child.process.wait(20)

    def restart(self) -> None:
        """Starts the same cluster again, on the same port."""
        if self._directory is None:
            raise RuntimeError("This server was not started.")
        self._start_server(self._directory)

    def _start_server(self, directory: Path) -> None:
        self.port = self.port or free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(directory),
            "fsync": "off" if self._quick else "on",
            "shared_buffers": "32MB",
            "max_connections": "200",
            "timezone": "UTC",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._child = child = Child(
            [self._server, "-D", directory / "data", *words],
            directory / "log",
            cwd=directory,
            user=self._user,
            group=self._group,
        )

        def ready() -> bool:
            if not child.running:
                raise AssertionError(f"postgres did not start:\n{child.log()}")
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                return False  # still starting
            return True

        try:
            wait_until(ready, "PostgreSQL to accept connections", timeout=60)
        except TimeoutError as exc:
            raise AssertionError(f"{exc}\n{child.log()}") from exc

    def stop(self) -> None:
        """Ends the server, sessions included, and removes its files."""
        try:
            if self._child is not None:
                self._child.end(signal.SIGINT)  # "fast": does not wait for clients to leave
        finally:
            if self._directory is not None:
                shutil.rmtree(self._directory)
                self._directory = None

    def __enter__(self) -> Postgres:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # ---------------------------------------------------------------- databases

    @property
    def url(self) -> str:
        """The superuser's URL, to the database ``postgres``."""
        return self._url("postgres")

    @property
    def pid(self) -> int:
        if self._child is None:
            raise RuntimeError("This server was not started.")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def create_database(self) -> str:
        """Makes an empty database and returns its URL, ``postgresql://…``."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._url(name)

    def empty_tables(self, url: str) -> None:
        """Deletes every row but the schema's revision, and starts every number anew. With few
        rows that takes a tenth of the time of TRUNCATE, or of making a database."""
        with psycopg.connect(url) as connection:
            connection.execute(_EMPTY)

    def drop_database(self, url: str) -> None:
        """Removes a database that ``create_database`` made, whoever is still connected."""
        name = sql.Identifier(url.rpartition("/")[2])
        self._administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def read_only(self, url: str, *, on: bool) -> None:
        """As in a failover: a database takes no changes; open connections are ended."""
        name = url.rpartition("/")[2]
        value = sql.SQL("on" if on else "off")
        self._administer(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(
                sql.Identifier(name), value
            )
        )
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def _url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"


def _unprivileged() -> tuple[int | None, int | None]:
    """Whom the server runs as: nobody special, unless we are root."""
    if os.geteuid() != 0:
        return None, None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user to run it as.")
