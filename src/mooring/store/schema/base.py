"""What the tables share (SQLAlchemy Core, declared once for both engines).

Times are integers: milliseconds since 1970 in UTC. Booleans are real booleans. JSON is kept
as text: it is written and read whole, and stays exactly as a device sent it.

What only one engine has says so in ``info["engine"]``; ``declared_for`` knows. On PostgreSQL
``messages`` is partitioned (``mooring.store.partitions``), which the migration 0002 does.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData
from sqlalchemy.schema import SchemaItem

__all__ = ["POSTGRESQL_ONLY", "SQLITE_ONLY", "BigId", "declared_for", "metadata"]

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
