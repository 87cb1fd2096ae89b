"""SQL of download links. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.ota.links.model import Target
from mooring.ota.releases.model import State
from mooring.store.given import among, given, numbers, parameter
from mooring.store.schema import (
    devices,
    firmware_artifacts,
    firmware_links,
    firmware_releases,
)

__all__ = ["Wanted", "fit", "forget", "insert", "note", "target", "trim"]

_L, _A, _R, _D = firmware_links.c, firmware_artifacts.c, firmware_releases.c, devices.c
_OFFERED = (str(State.PUBLISHED), str(State.DEPRECATED))
FORGET_AT_ONCE = 100


class Wanted(NamedTuple):
    """A link that is to be made.

    Attributes:
        verifier: the SHA-256 of its characters.
    """

    update: int
    device: int
    artifact: int
    verifier: str


class _Statements(NamedTuple):
    """Put together once for each engine: that costs more than running them."""

    fitting: Any
    insert: Any
    trim: Any


_STATEMENTS: dict[str, _Statements] = {}
_FORGET = sa.delete(firmware_links).where(
    _L.id.in_(
        sa.select(_L.id)
        .where(_L.expires_at < sa.bindparam("before", type_=sa.BigInteger))
        .limit(FORGET_AT_ONCE)
    )
)


def _statements(engine: str) -> _Statements:
    found = _STATEMENTS.get(engine)
    if found is None:
        asked = given(engine, {"device": _L.device_id.type, "artifact": _L.artifact_id.type})
        fitting = (
            sa.select(sa.func.count())
            .select_from(asked)
            .join(firmware_artifacts, _A.id == asked.c.artifact)
            .join(firmware_releases, _R.id == _A.release_id)
            .join(devices, sa.and_(_D.id == asked.c.device, _D.tenant == _R.tenant))
        )
        names = ("verifier", "update_id", "device_id", "artifact_id", "created_at", "expires_at")
        new = given(engine, {name: _L[name].type for name in names})
        insert = sa.insert(firmware_links).from_select(
            list(names), sa.select(*(new.c[name] for name in names))
        )
        place = (
            sa.func.row_number()
            .over(partition_by=_L.update_id, order_by=_L.id.desc())
            .label("place")
        )
        placed = sa.select(_L.id, place).where(among(engine, _L.update_id)).subquery()
        old = sa.select(placed.c.id).where(placed.c.place > sa.bindparam("keep", type_=sa.Integer))
        trim = sa.delete(firmware_links).where(_L.id.in_(old))
        found = _STATEMENTS[engine] = _Statements(fitting, insert, trim)
    return found


def fit(connection: Connection, wanted: Sequence[Wanted]) -> bool:
    """Whether each device and its file belong to the same tenant."""
    asked = parameter((one.device, one.artifact) for one in wanted)
    count = connection.execute(_statements(connection.dialect.name).fitting, asked).scalar_one()
    return int(count) == len(wanted)


def insert(connection: Connection, wanted: Sequence[Wanted], at: int, expires_at: int) -> None:
    """Makes links. Times are epoch milliseconds."""
    rows = [[one.verifier, one.update, one.device, one.artifact, at, expires_at] for one in wanted]
    connection.execute(_statements(connection.dialect.name).insert, parameter(rows))


def trim(connection: Connection, updates: Collection[int], keep: int) -> None:
    """Deletes all links of these updates but the newest of each."""
    engine = connection.dialect.name
    asked = numbers(engine, sorted(updates)) | {"keep": keep}
    connection.execute(_statements(engine).trim, asked)


def forget(connection: Connection, before: int) -> None:
    """Deletes some links that expired before a time, in epoch milliseconds."""
    connection.execute(_FORGET, {"before": before})


def target(connection: Connection, verifier: str) -> Target | None:
    """A link, with its device and its file."""
    row = connection.execute(
        sa.select(
            _L.id,
            _L.update_id,
            _L.device_id,
            _D.name,
            _D.tenant,
            _D.username,
            _L.artifact_id,
            _A.name,
            _A.size,
            _A.sha256,
            _L.expires_at,
            sa.and_(_D.enabled, _R.state.in_(_OFFERED)),
            _L.asked_at,
            _L.misused_at,
        )
        .join(devices, _D.id == _L.device_id)
        .join(firmware_artifacts, _A.id == _L.artifact_id)
        .join(firmware_releases, _R.id == _A.release_id)
        .where(_L.verifier == verifier, _R.tenant == _D.tenant)
    ).first()
    if row is None:
        return None
    link, update, device_id, name, tenant, username, *rest = row
    artifact, file, size, sha256, expires_at, is_open, asked_at, misused_at = rest
    return Target(
        link=link,
        update=update,
        device_id=device_id,
        device=f"{tenant}:{name}",
        tenant=tenant,
        username=username,
        artifact=artifact,
        name=file,
        size=size,
        sha256=sha256,
        expires_at=expires_at,
        open=bool(is_open),
        asked_at=asked_at,
        misused_at=misused_at,
    )


def note(connection: Connection, link: int, **values: int | None) -> None:
    """Sets columns of a link."""
    connection.execute(sa.update(firmware_links).where(_L.id == link).values(**values))
