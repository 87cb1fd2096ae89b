"""SQL of the metrics' names, who has which, and who went over the limit."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.rollups.rows import fetch, numbers
from mooring.store.schema import device_metrics, metrics, metrics_refused

__all__ = [
    "device_metric_ids",
    "enlist",
    "metric_names",
    "metric_numbers",
    "refuse",
    "refused",
]

_AT_ONCE = 400


def metric_numbers(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Name → number of those that have one."""
    wanted = list(names)
    found: dict[str, int] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        rows = connection.execute(
            sa.select(metrics.c.name, metrics.c.id).where(
                metrics.c.name.in_(wanted[start : start + _AT_ONCE])
            )
        )
        found.update({row[0]: row[1] for row in rows})
    return found


def enlist(connection: Connection, pairs: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Notes that devices have these metrics; their numbers, new ones where needed."""
    pairs = list(pairs)
    names = sorted({name for _, name in pairs})
    for name in names:
        connection.execute(_NAME, {"name": name})
    known = metric_numbers(connection, names)
    if pairs:
        connection.execute(
            _HAS, [{"d": device, "m": known[name]} for device, name in sorted(pairs)]
        )
    return known


_NAME = sa.text("INSERT INTO metrics (name) VALUES (:name) ON CONFLICT (name) DO NOTHING")
_HAS = sa.text(
    "INSERT INTO device_metrics (device_id, metric_id) VALUES (:d, :m)"
    " ON CONFLICT (device_id, metric_id) DO NOTHING"
)


def device_metric_ids(connection: Connection, devices: Iterable[int]) -> dict[int, set[int]]:
    """Device → the numbers of its metrics."""
    wanted = list(devices)
    found: dict[int, set[int]] = {device: set() for device in wanted}
    for start in range(0, len(wanted), _AT_ONCE):
        for device, metric in fetch(
            connection,
            "SELECT device_id, metric_id FROM device_metrics"  # noqa: S608 - numbers
            f" WHERE device_id IN ({numbers(wanted[start : start + _AT_ONCE])})",
        ):
            found[device].add(metric)
    return found


def metric_names(connection: Connection, device: int) -> list[str]:
    """The names of one device's metrics."""
    return list(
        connection.execute(
            sa.select(metrics.c.name)
            .join(device_metrics, device_metrics.c.metric_id == metrics.c.id)
            .where(device_metrics.c.device_id == device)
            .order_by(metrics.c.name)
        ).scalars()
    )


def refuse(connection: Connection, devices: Iterable[tuple[int, int, str]], at: int) -> None:
    """Counts values over the limit: (device, how many, a metric for instance)."""
    for device, values, example in devices:
        connection.execute(_REFUSE, {"d": device, "values": values, "example": example, "at": at})


_REFUSE = sa.text(
    "INSERT INTO metrics_refused (device_id, refused, example, at)"
    " VALUES (:d, :values, :example, :at) ON CONFLICT (device_id) DO UPDATE SET"
    " refused = metrics_refused.refused + excluded.refused, example = excluded.example,"
    " at = excluded.at"
)


def refused(connection: Connection, limit: int = 100) -> list[tuple[int, int, str, int]]:
    """(device, values, example, when) of the devices that went over the limit last."""
    rows = connection.execute(
        sa.select(
            metrics_refused.c.device_id,
            metrics_refused.c.refused,
            metrics_refused.c.example,
            metrics_refused.c.at,
        )
        .order_by(metrics_refused.c.at.desc(), metrics_refused.c.device_id)
        .limit(limit)
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]
