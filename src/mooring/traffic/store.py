"""SQL of messages over time."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from mooring.store.schema import counters, traffic
from mooring.traffic.model import COUNTED, HOUR_MS, Sample

__all__ = ["add", "counted", "delete_old", "samples"]

_C = traffic.c


def counted(connection: Connection, at: int) -> Sample:
    """What the counters are now."""
    statement = sa.select(counters.c.name, counters.c.value)
    values = {str(name): int(value) for name, value in connection.execute(statement)}
    return Sample(at, *(sum(values.get(name, 0) for name in names) for names in COUNTED.values()))


def add(connection: Connection, sample: Sample) -> None:
    """Adds a sample, unless another process has added one of that time."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = insert(traffic).values(sample._asdict())
    connection.execute(row.on_conflict_do_nothing(index_elements=["at"]))


def delete_old(connection: Connection, minutes_before: int, hours_before: int) -> None:
    """Deletes samples: older than the first time all but those of whole hours, older than the
    second time all."""
    between = sa.and_(_C.at < minutes_before, _C.at % HOUR_MS != 0)
    connection.execute(sa.delete(traffic).where(sa.or_(_C.at < hours_before, between)))


def samples(connection: Connection, start: int, end: int) -> list[Sample]:
    """Those of a time, with the last one before it and the first one after it."""
    before = sa.select(sa.func.max(_C.at)).where(_C.at <= start).scalar_subquery()
    after = sa.select(sa.func.min(_C.at)).where(_C.at >= end).scalar_subquery()
    statement = sa.select(_C.at, _C.received, _C.sent, _C.rejected).where(
        _C.at >= sa.func.coalesce(before, start), _C.at <= sa.func.coalesce(after, end)
    )
    return [Sample(*row) for row in connection.execute(statement.order_by(_C.at))]
