"""What a rollout's condition asks the database. The caller decides on transactions."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.attributes.query import terms
from mooring.devices.attributes.search_store import Search
from mooring.devices.attributes.terms import Condition, Like, Ranged, Term
from mooring.dialects import Catalogue, meaning
from mooring.dialects.lenient import parse
from mooring.dialects.model import Format
from mooring.ota.rollouts.conditions import Scalar, evaluate, in_words, meets, names, newest
from mooring.presence.state import unpack_metadata
from mooring.store.schema import channels, device_attributes, device_state, latest
from mooring.store.schema import devices as devices_table

__all__ = ["unmet"]


def unmet(
    connection: Connection,
    catalogue: Catalogue,
    tenant: str,
    condition: str,
    numbers: Collection[int],
) -> dict[int, str]:
    """Those of these devices that do not meet a condition, with the values that were seen in words,
    in a few statements for all of them."""
    conditions = terms([condition])
    wanted = names(conditions)
    seen = _attributes(connection, wanted, numbers)
    without = {
        number for number in numbers if any(name not in seen.get(number, {}) for name in wanted)
    }
    reported = _reported(connection, catalogue, wanted, without) if without else {}

    def of(one: Condition) -> set[int]:
        found = _matching(connection, tenant, one, numbers)
        if isinstance(one, Term | Ranged | Like):
            for number, values in reported.items():
                mine = one.name not in seen.get(number, {}) and one.name in values
                if mine and meets(one, values[one.name]):
                    found.add(number)
        return found

    met = evaluate(conditions, numbers, of)
    found = {}
    for number in set(numbers) - met:
        values: dict[str, Scalar | None] = {
            name: seen.get(number, {}).get(name, reported.get(number, {}).get(name))
            for name in wanted
        }
        found[number] = in_words(condition, values)
    return found


def _matching(
    connection: Connection, tenant: str, one: Condition, numbers: Collection[int]
) -> set[int]:
    search = Search(conditions=[devices_table.c.id.in_(numbers)], where=(one,), tenant=tenant)
    return {found.number for found in search.page(connection, None, len(numbers))}


def _attributes(
    connection: Connection, wanted: Sequence[str], numbers: Collection[int]
) -> dict[int, dict[str, Scalar]]:
    """Device → its attributes of these names, for people; several values of one are joined."""
    if not wanted:
        return {}
    a = device_attributes.c
    rows = connection.execute(
        sa.select(a.device_id, a.name, a.value)
        .where(a.device_id.in_(numbers), a.name.in_(wanted))
        .order_by(a.device_id, a.name, a.key)
    )
    found: dict[int, dict[str, Scalar]] = {}
    for number, name, text in rows:
        value, mine = json.loads(text), found.setdefault(number, {})
        mine[name] = f"{mine[name]}, {value}" if name in mine else value
    return found


def _reported(
    connection: Connection, catalogue: Catalogue, wanted: Sequence[str], numbers: Collection[int]
) -> dict[int, dict[str, Scalar]]:
    """Device → the newest values of these names that it has reported: readings, and what it says
    of itself."""
    said: dict[int, list[tuple[int, dict[str, Scalar]]]] = {number: [] for number in numbers}
    s, one = device_state.c, latest.c
    rows = connection.execute(
        sa.select(s.device_id, s.metadata_at, s.metadata).where(
            s.device_id.in_(numbers), s.metadata.is_not(None)
        )
    )
    for number, at, text in rows:
        said[number].append((at or 0, unpack_metadata(text)))
    messages = connection.execute(
        sa.select(one.device_id, one.ts, channels.c.dialect, channels.c.name, one.payload)
        .join(channels, channels.c.id == one.channel_id)
        .where(one.device_id.in_(numbers))
    )
    shapes = {
        (dialect.name, channel.name): channel.payload
        for dialect in catalogue.all()
        for channel in dialect.ups()
    }
    for number, at, dialect, name, text in messages:
        shape = shapes.get((dialect, name))
        if shape is None or shape.format in (Format.TEXT, Format.ANY):
            continue
        try:
            body = parse(text)
        except (msgspec.DecodeError, RecursionError):
            continue  # a channel that takes text as well as JSON
        if isinstance(body, dict):
            said[number].append((at, meaning.readings(shape, body)))
    return {number: newest(wanted, some) for number, some in said.items()}
