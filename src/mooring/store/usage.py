"""How much each tenant stores: every change counts itself, nothing is ever read through.

A message counts its payload and ``ROW_BYTES``. Code that adds or deletes messages calls this in
the same transaction, so the figures are exact at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.schema import tenant_usage, tenant_usage_days

__all__ = [
    "DAY_MS",
    "ROW_BYTES",
    "Usage",
    "by_tenant",
    "days_after",
    "displaced",
    "forget_before",
    "octets",
    "of_rows",
    "of_sizes",
    "subtract",
]

DAY_MS = 86_400_000
ROW_BYTES = 100
"""What a message takes in addition to its payload, with its places in indexes, about."""

Usage = dict[tuple[str, int], list[int]]
"""(tenant, day since 1970) → messages, bytes."""
Row = tuple[int, int, int, int, int | None, int, int, str]
"""As ``mooring.ingest.rows.MessageRow``: device, time and payload are looked at."""


def of_rows(rows: Iterable[Row], tenants: Mapping[int, str]) -> Usage:
    """Of rows of messages that were added."""
    # Most payloads are ASCII, which Python knows of a text without looking at it.
    return of_sizes(
        (
            (row[0], row[2], len(text) if (text := row[7]).isascii() else len(text.encode()))
            for row in rows
        ),
        tenants,
    )


def of_sizes(rows: Iterable[Sequence[int]], tenants: Mapping[int, str]) -> Usage:
    """Of (device, time, bytes of the payload). A device without a tenant is left out."""
    found: Usage = {}
    for device, ts, size in rows:
        tenant = tenants.get(device)
        if tenant is None:
            continue
        key = (tenant, ts // DAY_MS)
        sums = found.get(key)
        if sums is None:
            found[key] = [1, size + ROW_BYTES]
        else:
            sums[0] += 1
            sums[1] += size + ROW_BYTES
    return found


def by_tenant(usage: Usage) -> dict[str, list[int]]:
    """Tenant → messages, bytes, in the order of their names: as all processes lock them."""
    found: dict[str, list[int]] = {}
    for (tenant, _), (number, size) in sorted(usage.items()):
        sum_ = found.setdefault(tenant, [0, 0])
        sum_[0] += number
        sum_[1] += size
    return found


def octets(connection: Connection) -> sa.ColumnElement[int]:
    """The bytes of a message's payload."""
    word = "length(CAST(payload AS BLOB))"
    if connection.dialect.name != "sqlite":
        word = "octet_length(payload)"
    return sa.literal_column(word, sa.BigInteger)


# ---------------------------------------------------------------------- less


def _less(column: sa.Column[int], name: str) -> sa.ColumnElement[int]:
    gone = sa.bindparam(name, type_=sa.BigInteger)
    return sa.case((column > gone, column - gone), else_=0)


_u, _d = tenant_usage.c, tenant_usage_days.c
_TENANT = (
    sa.update(tenant_usage)
    .where(_u.tenant == sa.bindparam("of"))
    .values(messages=_less(_u.messages, "gone"), bytes=_less(_u.bytes, "size"))
)
_DAY = (
    sa.update(tenant_usage_days)
    .where(_d.tenant == sa.bindparam("of"), _d.day == sa.bindparam("at"))
    .values(messages=_less(_d.messages, "gone"), bytes=_less(_d.bytes, "size"))
)
_EMPTY = sa.delete(tenant_usage_days).where(
    _d.tenant == sa.bindparam("of"), _d.day == sa.bindparam("at"), _d.messages <= 0
)
_DISPLACED = (
    sa.update(tenant_usage)
    .where(_u.tenant == sa.bindparam("of"))
    .values(
        displaced_messages=_u.displaced_messages + sa.bindparam("gone", type_=sa.BigInteger),
        displaced_bytes=_u.displaced_bytes + sa.bindparam("size", type_=sa.BigInteger),
        displaced_at=sa.bindparam("now", type_=sa.BigInteger),
    )
)


def subtract(connection: Connection, usage: Usage) -> None:
    """Messages are deleted."""
    if not usage:
        return
    _subtract(connection, by_tenant(usage))
    days = [
        {"of": tenant, "at": day, "gone": number, "size": size}
        for (tenant, day), (number, size) in sorted(usage.items())
    ]
    connection.execute(_DAY, days)
    connection.execute(_EMPTY, [{"of": one["of"], "at": one["at"]} for one in days])


def _subtract(connection: Connection, sums: Mapping[str, Sequence[int]]) -> None:
    rows = [{"of": name, "gone": one[0], "size": one[1]} for name, one in sums.items()]
    if rows:
        connection.execute(_TENANT, rows)


def displaced(connection: Connection, tenant: str, number: int, size: int, now: int) -> None:
    """Some of them because of the tenant's limit."""
    connection.execute(_DISPLACED, {"of": tenant, "gone": number, "size": size, "now": now})


def forget_before(connection: Connection, day: int) -> None:
    """Every message before a day is gone: dropping a partition names no rows."""
    gone = connection.execute(
        sa.delete(tenant_usage_days)
        .where(_d.day < day)
        .returning(_d.tenant, _d.day, _d.messages, _d.bytes)
    ).all()
    _subtract(connection, by_tenant({(row[0], row[1]): [row[2], row[3]] for row in gone}))


def days_after(connection: Connection, tenant: str, day: int, limit: int) -> list[tuple[int, int]]:
    """The next days after another one of which a tenant has messages, each with their bytes."""
    rows = connection.execute(
        sa.select(_d.day, _d.bytes)
        .where(_d.tenant == tenant, _d.day > day)
        .order_by(_d.day)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in rows]
