"""Which devices a job is for: a selector that is stored with the job and evaluated when the job
begins, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.errors import Invalid
from mooring.groups.selector import Selector
from mooring.store.schema import devices

__all__ = ["Chosen", "page", "selector"]


class Chosen(NamedTuple):
    """One device of a selection."""

    number: int
    name: str


def selector(
    tenant: str,
    *,
    names: Sequence[str] | None = None,
    everyone: bool = False,
    where: str | None = None,
    group: str | None = None,
) -> Selector:
    """A selection as somebody asks for it: all devices of a tenant only if that is said.

    Raises:
        Invalid: ``which_devices``: none or several ways are given; the query is not valid.
    """
    ways = [names is not None and len(names) > 0, everyone, where is not None, group is not None]
    if sum(ways) != 1:
        raise Invalid(
            "Devices are selected in several ways." if any(ways) else "No devices were selected.",
            hint="Select devices by name, by a query, by a group, or all of the tenant.",
            code="which_devices",
        )
    return Selector(tenant, tuple(dict.fromkeys(names)) if names else None, where, group)


def page(connection: Connection, chosen: Selector, after: int, limit: int) -> list[Chosen]:
    """Devices in the order of their numbers, those after ``after``.

    Args:
        limit: at most 500.
    """
    numbers = chosen.page(connection, after, limit)
    rows = connection.execute(
        sa.select(devices.c.id, devices.c.name).where(devices.c.id.in_(numbers))
    )
    names: dict[int, str] = {row[0]: row[1] for row in rows}
    return [Chosen(number, names[number]) for number in numbers if number in names]
