"""The parts of a batch, written to PostgreSQL from arrays: what ``sink_postgres`` consists of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

import psycopg

from mooring.ingest import postgres_statements as sql
from mooring.ingest.plan import DeadLetter, Plan, UnknownDevice
from mooring.ingest.rows import MessageRow
from mooring.ingest.sink import REPEAT_WINDOW_MS, Committed
from mooring.store import usage

__all__ = [
    "columns_of",
    "counted_of",
    "first_seen",
    "times_of",
    "write_counters",
    "write_dead",
    "write_latest",
    "write_unknown",
    "write_usage",
]

_TENANT_LENGTH, _NAME_LENGTH = 128, 300  # of the columns


def times_of(rows: Sequence[MessageRow]) -> tuple[int, int]:
    """The first and the last time in a batch."""
    times = [row[2] for row in rows]
    return min(times), max(times)


def columns_of(spans: Iterable[range], rows: Sequence[MessageRow]) -> tuple[str | list[str], ...]:
    """The rows with their ids, as ``INSERT`` takes them."""
    ids = islice(chain(*spans), len(rows))
    *numbers, payloads = zip(*rows, strict=True)
    return (*map(_array, (ids, *numbers)), list(payloads))


def counted_of(rows: Sequence[MessageRow]) -> dict[tuple[int, int, int], MessageRow]:
    """The messages of devices that count but have no clock, by what tells them apart."""
    counted: dict[tuple[int, int, int], MessageRow] = {}
    for row in rows:
        if row[5] and row[4] is not None:
            counted.setdefault((row[0], row[4], row[6]), row)
    return counted


def first_seen(
    cursor: psycopg.Cursor[Any],
    rows: Sequence[MessageRow],
    counted: dict[tuple[int, int, int], MessageRow],
) -> Sequence[MessageRow]:
    """Without those of ``counted`` whose number came before: at another time, so that the index
    over messages cannot tell."""
    keys = sorted(counted)
    cursor.execute(
        sql.NUMBERS,
        (
            *(_array(key[place] for key in keys) for place in range(3)),
            _array(counted[key][2] for key in keys),
            REPEAT_WINDOW_MS,
        ),
    )
    new = {id(counted[key]) for key in cursor.fetchall()}
    return [row for row in rows if not row[5] or row[4] is None or id(row) in new]


def write_latest(cursor: psycopg.Cursor[Any], rows: Sequence[MessageRow]) -> None:
    """Rows in the order of device and channel, one of each."""
    if rows:
        device, channel, ts, received, _, source, _, payload = zip(*rows, strict=True)
        numbers = (_array(column) for column in (device, channel, ts, received, source))
        cursor.execute(sql.LATEST, (*numbers, list(payload)))


def write_dead(cursor: psycopg.Cursor[Any], letters: Sequence[DeadLetter], most: int) -> None:
    """Adds dead letters and removes the oldest beyond ``most``."""
    cursor.execute(
        sql.DEAD,
        (
            _array(d.received_at for d in letters),
            [d.reason for d in letters],
            [_text(d.detail) for d in letters],
            [_text(d.topic) for d in letters],
            [None if d.tenant is None else _text(d.tenant, _TENANT_LENGTH) for d in letters],
            _array(d.device_id for d in letters),
            _array(d.size for d in letters),
            [d.payload for d in letters],
        ),
    )
    cursor.execute(sql.TRIM_DEAD, (most,))


def write_unknown(
    cursor: psycopg.Cursor[Any], devices: Sequence[UnknownDevice], of_tenant: int, others: int
) -> None:
    """Lists unknown devices: at most ``of_tenant`` of each tenant, and ``others`` of tenants that
    do not exist."""
    # Nobody has names that long: what goes by one stays a dead letter.
    some = [s for s in devices if len(s.tenant) <= _TENANT_LENGTH and len(s.name) <= _NAME_LENGTH]
    if some:
        cursor.execute(
            sql.UNKNOWN,
            (
                [s.dialect for s in some],
                [_text(s.tenant) for s in some],
                [_text(s.name) for s in some],
                _array(s.at for s in some),
                _array(s.messages for s in some),
                [_text(s.last_topic) for s in some],
                _array(s.registered_at for s in some),
                [None if s.registered_at is None else s.registration for s in some],
                others,
                of_tenant,
            ),
        )


def write_usage(cursor: psycopg.Cursor[Any], plan: Plan, added: Sequence[MessageRow]) -> None:
    """Counts what was added for its tenants."""
    tenants = {route.device_id: route.device.tenant for route in set(plan.routes)}
    used = usage.of_rows(added, tenants)
    if not used:
        return
    sums = usage.by_tenant(used)
    cursor.execute(
        sql.USED,
        (list(sums), _array(one[0] for one in sums.values()), _array(s[1] for s in sums.values())),
    )
    days = sorted(used.items())
    cursor.execute(
        sql.USED_DAY,
        (
            [tenant for (tenant, _), _ in days],
            _array(day for (_, day), _ in days),
            _array(one[0] for _, one in days),
            _array(one[1] for _, one in days),
        ),
    )


def write_counters(cursor: psycopg.Cursor[Any], plan: Plan, committed: Committed) -> None:
    counted = {
        "batches": 1,
        "dead_letters": len(plan.dead) + len(committed.refused),
        "dead_letters_dropped": plan.dropped,
        "messages_limited": plan.limited,
        "messages_duplicate": committed.duplicates + plan.repeated,
        "messages_passed_over": plan.passed,
        "messages_stored": committed.stored,
        "messages_undeclared": plan.undeclared,
        "retained_cleared": plan.cleared,
        "not_numbers": plan.not_numbers,
    }
    some = {name: value for name, value in counted.items() if value}
    cursor.execute(sql.COUNT, (list(some), _array(some.values())))


def _array(values: Iterable[int | bool | None]) -> str:
    """An array literal: of one type for the server whatever the numbers are, so that a statement
    is prepared once, and made five times as fast as by psycopg's own dumper."""
    return "{" + ",".join(["NULL" if v is None else str(v) for v in values]) + "}"


def _text(value: str, limit: int | None = None) -> str:
    """What a text column takes: topics come from unknown devices too, and a dead letter that cannot
    be stored would stop everything."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:limit]
