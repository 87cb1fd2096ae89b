"""SQL of attributes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.attributes.keys import keys_of
from mooring.devices.attributes.model import MULTIPLE, Held, Source, Value, plain
from mooring.store.given import given, parameter
from mooring.store.schema import device_attributes, devices

__all__ = ["Change", "insert_many", "lock", "max_packets", "of_device", "of_devices", "write"]

AT_ONCE = 500  # devices in one question

_C = device_attributes.c
_COLUMNS = ("device_id", "name", "key", "tenant", "value", "source", "actor", "at")


class Change(NamedTuple):
    """What changes of one device: names that get other rows, and those rows."""

    device_id: int
    tenant: str
    names: tuple[str, ...]
    held: Mapping[str, Held]


def of_device(connection: Connection, device_id: int) -> dict[str, Held]:
    """Name → what is stored."""
    return of_devices(connection, [device_id]).get(device_id, {})


def of_devices(connection: Connection, numbers: Collection[int]) -> dict[int, dict[str, Held]]:
    """The same for many; devices without attributes are left out."""
    found: dict[int, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    wanted = sorted(numbers)
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        statement = (
            sa.select(_C.device_id, _C.name, _C.value, _C.source, _C.at, _C.actor)
            .where(_C.device_id.in_(some))
            .order_by(_C.device_id, _C.name, _C.key)
        )
        for device_id, name, *row in connection.execute(statement):
            found[device_id][name].append(row)
    return {
        device_id: {name: _held(name, rows) for name, rows in names.items()}
        for device_id, names in found.items()
    }


def _held(name: str, rows: Sequence[Sequence[Any]]) -> Held:
    values = [json.loads(row[0]) for row in rows]
    _, source, at, actor = rows[0]
    value: Value = tuple(values) if name == MULTIPLE else values[0]
    if name == "position":
        value = (values[0]["lat"], values[0]["lon"])
    return Held(value, Source(source), at, actor)


def max_packets(connection: Connection, numbers: Collection[int]) -> dict[int, int]:
    """Number → the largest packet in bytes that the device takes, of those where it is known."""
    found: dict[int, int] = {}
    wanted = sorted(numbers)
    for start in range(0, len(wanted), AT_ONCE):
        statement = sa.select(_C.device_id, _C.value).where(
            _C.device_id.in_(wanted[start : start + AT_ONCE]), _C.name == "max_packet"
        )
        found |= {device_id: int(value) for device_id, value in connection.execute(statement)}
    return found


_LOCK: dict[str, Any] = {}


def lock(connection: Connection, numbers: Iterable[int]) -> dict[int, str]:
    """Number → tenant of those devices that are there. Until the transaction ends nobody else
    changes their attributes."""
    dialect = connection.dialect.name
    if dialect not in _LOCK:
        wanted = sa.select(given(dialect, {"id": devices.c.id.type}))
        _LOCK[dialect] = (
            sa.select(devices.c.id, devices.c.tenant)
            .where(devices.c.id.in_(wanted))
            .order_by(devices.c.id)
            .with_for_update(key_share=True)
        )
    rows = connection.execute(_LOCK[dialect], parameter([number] for number in numbers))
    return {number: tenant for number, tenant in rows}  # noqa: C416 - dict() has no types


_DELETE: dict[str, Any] = {}
_INSERT: dict[str, Any] = {}


def write(connection: Connection, changes: Sequence[Change]) -> None:
    """Replaces the rows of the names that change, in two statements for any number of them.

    The caller holds ``lock``.
    """
    dialect = connection.dialect.name
    if dialect not in _DELETE:
        gone = given(dialect, {"device_id": _C.device_id.type, "name": sa.Text()})
        _DELETE[dialect] = sa.delete(device_attributes).where(
            sa.tuple_(_C.device_id, _C.name).in_(sa.select(gone.c.device_id, gone.c.name))
        )
    old = [(one.device_id, name) for one in changes for name in one.names]
    if old:
        connection.execute(_DELETE[dialect], parameter(old))
    insert_many(
        connection,
        [
            (one.device_id, one.tenant, {n: one.held[n] for n in one.names if n in one.held})
            for one in changes
        ],
    )


def insert_many(connection: Connection, new: Iterable[tuple[int, str, Mapping[str, Held]]]) -> None:
    """Adds attributes that are not stored yet.

    Args:
        new: number and tenant of a device, and its attributes.
    """
    dialect = connection.dialect.name
    if dialect not in _INSERT:
        # Plain types: the values are cast to them, and the columns keep their collation.
        kinds = {
            name: sa.BigInteger() if name in ("device_id", "at") else sa.Text() for name in _COLUMNS
        }
        _INSERT[dialect] = sa.insert(device_attributes).from_select(
            list(_COLUMNS), sa.select(given(dialect, kinds))
        )
    rows = [row for number, tenant, held in new for row in _rows(number, tenant, held)]
    if rows:
        connection.execute(_INSERT[dialect], parameter(rows))


def _rows(number: int, tenant: str, held: Mapping[str, Held]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, one in held.items():
        values: Sequence[object] = [plain(name, one.value)]
        if name == MULTIPLE and isinstance(one.value, tuple):
            values = one.value
        for key, value in zip(keys_of(name, one.value), values, strict=True):
            text = json.dumps(value, ensure_ascii=False)
            rows.append((number, name, key, tenant, text, str(one.source), one.actor[:200], one.at))
    return rows
