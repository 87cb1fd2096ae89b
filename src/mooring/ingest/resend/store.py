"""SQL of resending."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices import store as devices_store
from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects.match import Match
from mooring.dialects.model import Attribute
from mooring.identity.actor import Actor, walled
from mooring.ingest.resend.model import Kept
from mooring.store.schema import dead_letters, devices, latest

__all__ = ["claim", "devices_of", "letters", "newest"]

_C = dead_letters.c


def letters(
    connection: Connection,
    actor: Actor,
    *,
    ids: Collection[int] | None = None,
    reason: str | None = None,
    device_id: int | None = None,
    after: int = 0,
    limit: int,
) -> list[Kept]:
    """Dead letters that the actor sees, the oldest first.

    Args:
        ids: only these.
        after: only those with a larger number.
    """
    statement = (
        sa.select(*(_C[name] for name in Kept._fields))
        .where(_C.id > after)
        .order_by(_C.id)
        .limit(limit)
    )
    if ids is not None:
        statement = statement.where(_C.id.in_(ids))
    if reason is not None:
        statement = statement.where(_C.reason == reason)
    if device_id is not None:
        statement = statement.where(_C.device_id == device_id)
    return [Kept(*row) for row in connection.execute(walled(statement, _C.tenant, actor))]


def claim(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Deletes dead letters; those that were still there."""
    deleted = sa.delete(dead_letters).where(_C.id.in_(ids)).returning(_C.id)
    return set(connection.execute(deleted).scalars())


def newest(
    connection: Connection, numbers: Collection[int]
) -> Mapping[tuple[int, int], tuple[int, int]]:
    """See ``claiming.Newest``."""
    c = latest.c
    asked = sa.select(c.device_id, c.channel_id, c.ts, c.received_at)
    rows = connection.execute(asked.where(c.device_id.in_(sorted(numbers))))
    return {(device, channel): (ts, received) for device, channel, ts, received in rows}


def devices_of(connection: Connection, matches: Iterable[Match]) -> list[Device]:
    """The devices that topics name by these placeholders."""
    named: dict[tuple[str, str | None], set[str]] = {}
    for match in matches:
        word = DeviceIndex.word(match.values)
        if word is not None:
            scope = match.values.get(Attribute.TENANT) if match.dialect.tenanted else None
            named.setdefault((match.dialect.name, scope), set()).add(word)
    numbers: set[int] = set()
    for (dialect, tenant), words in named.items():
        macs = [word[1:] for word in words if word.startswith("\0")]
        names = [word for word in words if not word.startswith("\0")]
        asked = sa.select(devices.c.id).where(
            devices.c.dialect == dialect,
            sa.or_(devices.c.name.in_(names), devices.c.mac_key.in_(macs)),
        )
        if tenant is not None:
            asked = asked.where(devices.c.tenant == tenant)
        numbers.update(connection.execute(asked).scalars())
    every = sorted(numbers)
    return [
        device
        for begin in range(0, len(every), 500)
        for device in devices_store.by_numbers(connection, every[begin : begin + 500])
    ]
