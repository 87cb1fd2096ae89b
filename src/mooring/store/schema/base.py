"""What the tables share (SQLAlchemy Core, declared once for both engines).

Times are integers: milliseconds since 1970 in UTC. Booleans are real booleans. JSON is kept
as text: it is written and read whole, and stays exactly as a device sent it.

What only one engine has says so in ``info["engine"]``; ``declared_for`` knows. On PostgreSQL
``messages`` is partitioned (``mooring.store.partitions``), which the migration 0002 does.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Dialect, Integer, MetaData, String, Text
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeDecorator

__all__ = [
    "POSTGRESQL_ONLY",
    "SQLITE_ONLY",
    "TEXT_MAX",
    "BigId",
    "Ordered",
    "Shown",
    "ShownText",
    "declared_for",
    "metadata",
    "shown",
]

TEXT_MAX = 2000
"""Characters of a text that somebody outside has chosen and that is only shown."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SQLITE_ONLY = {"engine": "sqlite"}
POSTGRESQL_ONLY = {"engine": "postgresql"}


def declared_for(item: SchemaItem, engine: str) -> bool:
    """Whether a table or an index is part of the schema on this engine."""
    return bool(item.info.get("engine", engine) == engine)


# SQLite makes only INTEGER PRIMARY KEY the row's own number; PostgreSQL wants 64 bits.
BigId = BigInteger().with_variant(Integer(), "sqlite")


def Ordered(most: int) -> String:  # noqa: N802 - it stands where a type stands
    """``String(most)`` that both engines sort by code points, whatever the database's language."""
    return String(most).with_variant(String(most, collation="C"), "postgresql")


def shown(text: str, most: int) -> str:
    """A text from outside as both engines can store it, at most ``most`` characters. Pure.

    NUL (which PostgreSQL rejects) and half surrogate pairs (which no UTF-8 can hold) become
    U+FFFD; a shortened text ends in "…".
    """
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if len(text) > most:
        text = text[: most - 1] + "…"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in text)
    return text


class Shown(TypeDecorator[str]):
    """``String(most)`` for what people look at and nothing is decided by: a longer text is cut
    where it enters, as PostgreSQL would reject it and SQLite would take any length.

    Not for names by which rows are found: two cut names could be the same. Those are checked
    where they come in.
    """

    impl = String
    cache_ok = True

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else shown(value, self.most)


class ShownText(TypeDecorator[str]):
    """``Text`` with a bound of this program's: ``TEXT_MAX`` characters."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else shown(value, TEXT_MAX)
