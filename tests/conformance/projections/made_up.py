"""A domain that nobody has: what its author writes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.dialects.model import Channel, Kind
from mooring.ingest.facts import Fact
from mooring.ingest.projection import Effect, Keys, Sees, of_kinds
from mooring.store.given import given, parameter

__all__ = ["Bells", "bells"]

bells = sa.Table(
    "made_up_bells",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("device_id", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("rung_at", sa.BigInteger, nullable=False),
)


class Bells:
    """Notes each alert once, and says so to whoever listens."""

    name = "bells"
    sees = Sees.STORED

    def wants(self, channel: Channel) -> Keys:
        return of_kinds(channel, frozenset({Kind.ALERT, Kind.ALERT_CLEARED}))

    def plan(self, facts: Sequence[Fact]) -> list[tuple[int, str, int]] | None:
        return [(fact.device.id, fact.name or "?", fact.ts) for fact in facts]

    def apply(self, connection: Connection, rows: Any) -> Sequence[Effect]:
        columns = ["device_id", "name", "rung_at"]
        some = given(connection.dialect.name, {name: bells.c[name].type for name in columns})
        connection.execute(sa.insert(bells).from_select(columns, sa.select(some)), parameter(rows))
        return [Effect(f"bells/{device}", name.encode()) for device, name, _ in rows]
