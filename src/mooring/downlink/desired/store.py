"""SQL of desired documents. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.schema import counters, desired, devices
from mooring.store.tally import add_to_counter

__all__ = [
    "Document",
    "any_pending",
    "count",
    "drop",
    "ever_used",
    "mark",
    "pages",
    "pending",
    "put",
    "refuse",
    "release_removed",
    "settle",
    "topics_of_device",
]

AT_ONCE = 500

_c = desired.c
_DOCUMENT = (_c.topic, _c.payload, _c.version, _c.qos, _c.sealed)


class Document(NamedTuple):
    """One row; without a payload it is to be cleared. A ``sealed`` one is encrypted."""

    topic: str
    payload: bytes | None
    version: int
    qos: int
    sealed: bool = False


# What every change of a document needs is put together once: that costs more than running it.
_OTHERS = sa.select(sa.func.count()).select_from(
    sa.select(sa.literal(1))
    .where(
        _c.device_id == sa.bindparam("device"),
        _c.payload.is_not(None),
        _c.topic != sa.bindparam("besides"),
    )
    .limit(sa.bindparam("most"))
    .subquery()
)
_VERSION = sa.select(_c.version).where(_c.topic == sa.bindparam("named"))
_WRITTEN = [column.name for column in desired.c]
_INSERT = sa.insert(desired).values({name: sa.bindparam(name) for name in _WRITTEN})
_REPLACE = (
    sa.update(desired)
    # A document that was dropped may come back with any version. A device that has the name of a
    # removed one begins at 1, whatever version that one had.
    .where(
        _c.topic == sa.bindparam("named"),
        sa.or_(
            _c.version < sa.bindparam("newer"),
            _c.payload.is_(None),
            _c.device_id.is_distinct_from(sa.bindparam("owner", type_=sa.BigInteger)),
        ),
    )
    .values({name: sa.bindparam(name) for name in _WRITTEN})
)


def count(connection: Connection, device_id: int, besides: str, most: int) -> int:
    """Documents of a device on other topics; counts to ``most``."""
    values = {"device": device_id, "besides": besides, "most": most}
    return int(connection.execute(_OTHERS, values).scalar_one())


def put(connection: Connection, values: dict[str, object]) -> bool:
    """Writes a document, all columns of it; ``False`` when a newer version, or the same one, is
    there."""
    named = {"named": values["topic"]}
    if connection.execute(_VERSION, named).first() is None:
        connection.execute(_INSERT, values)
        return True
    given = {**values, **named, "newer": values["version"], "owner": values["device_id"]}
    changed = connection.execute(_REPLACE, given)
    return bool(changed.rowcount)


def drop(connection: Connection, topics: Sequence[str], at: int) -> int:
    """The broker is to clear these."""
    dropped = 0
    for part in _parts(topics):
        dropped += connection.execute(
            sa.update(desired)
            .where(_c.topic.in_(part), _c.payload.is_not(None))
            .values(payload=None, pending=True, updated_at=at, error=None)
        ).rowcount
    return dropped


def release_removed(connection: Connection, at: int) -> int:
    """Documents of devices that are gone are to be cleared."""
    gone = ~sa.exists().where(devices.c.id == _c.device_id)
    return connection.execute(
        sa.update(desired)
        .where(_c.device_id.is_not(None), _c.payload.is_not(None), gone)
        .values(payload=None, pending=True, updated_at=at, error=None)
    ).rowcount


def topics_of_device(connection: Connection, device_id: int) -> list[str]:
    return list(
        connection.execute(
            sa.select(_c.topic).where(_c.device_id == device_id).order_by(_c.topic)
        ).scalars()
    )


def ever_used(connection: Connection) -> bool:
    """Whether there is a document, or was one that a broker may still hold."""
    some = sa.exists(sa.select(sa.literal(1)).select_from(desired))
    published = sa.exists().where(counters.c.name == "desired_published")
    return bool(connection.execute(sa.select(sa.or_(some, published))).scalar())


def any_pending(connection: Connection) -> bool:
    return bool(connection.execute(sa.select(sa.exists().where(_c.pending))).scalar())


def pending(connection: Connection, after: str, limit: int) -> list[Document]:
    """Documents the broker has not confirmed, in the order of their topics behind ``after``."""
    rows = connection.execute(
        sa.select(*_DOCUMENT).where(_c.pending, _c.topic > after).order_by(_c.topic).limit(limit)
    )
    return [_document(row) for row in rows]


def pages(connection: Connection) -> Iterator[list[Document]]:
    """All of them, a page at a time."""
    after = ""
    while True:
        rows = connection.execute(
            sa.select(*_DOCUMENT).where(_c.topic > after).order_by(_c.topic).limit(AT_ONCE)
        ).all()
        if not rows:
            return
        yield [_document(row) for row in rows]
        after = rows[-1].topic


def mark(connection: Connection, topics: Sequence[str]) -> None:
    """These are to be published again."""
    for part in _parts(topics):
        connection.execute(sa.update(desired).where(_c.topic.in_(part)).values(pending=True))


def settle(connection: Connection, documents: Sequence[Document]) -> None:
    """The broker has these versions; what is cleared is forgotten. A row that has changed
    meanwhile stays pending."""
    done = {"desired_published": 0, "desired_cleared": 0}
    for one in documents:
        mine = sa.and_(_c.topic == one.topic, _c.version == one.version)
        if one.payload is None:
            gone = connection.execute(sa.delete(desired).where(mine, _c.payload.is_(None)))
            done["desired_cleared"] += gone.rowcount
        else:
            settled = connection.execute(
                sa.update(desired)
                # Not the version alone: the name of a removed device begins again at 1.
                .where(mine, _c.payload == one.payload)
                .values(pending=False, error=None)
            )
            done["desired_published"] += settled.rowcount
    for name, number in done.items():
        if number:
            add_to_counter(connection, name, number)


def refuse(connection: Connection, topic: str, error: str) -> None:
    connection.execute(sa.update(desired).where(_c.topic == topic).values(error=error))


def _document(row: Sequence[Any]) -> Document:
    topic, payload, version, qos, sealed = row
    content = None if payload is None else bytes(payload)
    return Document(topic, content, version, qos, bool(sealed) and content is not None)


def _parts(topics: Sequence[str]) -> Iterator[Sequence[str]]:
    return (topics[at : at + AT_ONCE] for at in range(0, len(topics), AT_ONCE))
