"""The URL of a database in parts. None of it is repeated in an error: it holds a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from mooring.errors import InvalidSetting

__all__ = ["parse_url", "postgres_arguments", "sqlite_file"]


def parse_url(url: str) -> sa.URL:
    """A database URL in parts. None of it is repeated in an error: it holds a password.

    Raises:
        InvalidSetting: it is not understood, or names another engine.
    """
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # The cause would quote the URL.
        raise InvalidSetting(
            "The database URL cannot be read.",
            hint="It looks like postgresql://user:password@host/name or sqlite:///path. In "
            "username and password write @ as %40, : as %3A, / as %2F and % as %25.",
        ) from None
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidSetting(
            f"Mooring does not support {parsed.get_backend_name()}.",
            hint="Use SQLite (leave database_url out) or a postgresql:// URL.",
        )
    if parsed.get_backend_name() == "postgresql":
        _reject_loose_ends(url, parsed)
    return parsed


def _reject_loose_ends(text: str, url: sa.URL) -> None:
    """A login with a bare @, / or ? runs into the host or the name, which errors quote."""
    from psycopg.pq import Conninfo  # noqa: PLC0415 - commands on SQLite do without it

    rest = text.partition("@")[2] if url.username is not None else text
    options = {option.keyword.decode() for option in Conninfo.get_defaults()}
    if "@" in rest or not options.issuperset(url.query):
        raise InvalidSetting(
            "The database URL has an option PostgreSQL does not know, or a username or password "
            "with a character that ends it.",
            hint="In a password write @ as %40, : as %3A, / as %2F, ? as %3F and % as %25.",
        )


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; ``None`` for PostgreSQL and for one in memory.

    Raises:
        InvalidSetting: the URL cannot be read.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return None if parsed.database == ":memory:" else Path(parsed.database)


def postgres_arguments(url: sa.URL) -> dict[str, Any]:
    """What psycopg connects with: one argument a value, so that no character of a password
    has a meaning. Every connection speaks UTF-8, whatever the server stores."""
    _, arguments = url.get_dialect()().create_connect_args(url)
    return {**arguments, "client_encoding": "utf8"}
