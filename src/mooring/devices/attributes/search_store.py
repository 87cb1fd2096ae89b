"""SQL of lists of devices by attributes.

A page begins where the one before ended (keyset), so it costs the same wherever it is. Each
condition and each order is read from an index that begins with the tenant, where the actor has
one, and with the attribute's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.attributes.query import Order, Term
from mooring.store.schema import device_attributes, devices

__all__ = ["Found", "Place", "Search", "place_of"]

FEW = 1000
"""Matches that are sorted, rather than found in the order of the list."""


class Place(NamedTuple):
    """Where a page ended.

    Attributes:
        key: of the order's attribute; ``None``: the device has none, or there is no order.
    """

    key: str | None
    number: int


class Found(NamedTuple):
    number: int
    key: str | None


@dataclass(frozen=True, slots=True)
class Search:
    """Which devices.

    Attributes:
        conditions: on the table ``devices``.
        where: on attributes.
        tenant: only its devices; ``None``: those of all tenants.
        order: by which attribute; by default the order in which devices were added.
    """

    conditions: Sequence[sa.ColumnElement[bool]] = ()
    where: Sequence[Term] = ()
    tenant: str | None = None
    order: Order | None = None

    def page(self, connection: Connection, after: Place | None, limit: int) -> list[Found]:
        """Numbers of devices, in the order of the list."""
        order = self.order
        if order is None:
            return self._by_number(connection, after, limit, self.conditions)
        found: list[Found] = []
        if after is None or after.key is not None:
            found = self._by_key(connection, order, after, limit)
            after = None
        if len(found) < limit:
            without = [*self.conditions, ~_has(order.name, None)]
            found += self._by_number(connection, after, limit - len(found), without)
        return found

    def _by_number(
        self,
        connection: Connection,
        after: Place | None,
        limit: int,
        conditions: Sequence[sa.ColumnElement[bool]],
    ) -> list[Found]:
        driving = self._driving()
        others = [term for term in self.where if term is not driving]
        if driving is None:
            number: Any = devices.c.id
            statement = sa.select(number)
            if self.tenant is not None:
                statement = statement.where(devices.c.tenant == self.tenant)
        else:
            number = device_attributes.c.device_id
            statement = _driven(sa.select(number), driving.name, self.tenant, driving.key)
        statement = statement.where(*conditions, *(_holds(term, number) for term in others))
        if after is not None:
            statement = statement.where(number > after.number)
        rows = connection.execute(statement.order_by(number).limit(limit))
        return [Found(row[0], None) for row in rows]

    def _few(self, connection: Connection) -> list[int] | None:
        """The devices that have the value asked for, where they are few: sorting them costs less
        than going through all devices in their order."""
        term = self._driving()
        if term is None:
            return None
        c = device_attributes.c
        statement = _driven(sa.select(c.device_id), term.name, self.tenant, term.key)
        statement = statement.order_by(c.device_id).limit(FEW + 1)
        found = list(connection.execute(statement).scalars())
        return found if len(found) <= FEW else None

    def _driving(self) -> Term | None:
        """The condition that an index answers."""
        return next((t for t in self.where if t.key is not None and not t.negated), None)

    def _by_key(
        self, connection: Connection, order: Order, after: Place | None, limit: int
    ) -> list[Found]:
        c = device_attributes.c
        statement = _driven(sa.select(c.device_id, c.key), order.name, self.tenant, None)
        few = self._few(connection)
        if few is not None:
            statement = statement.where(c.device_id.in_(few))
        statement = statement.where(
            *self.conditions, *(_holds(term, c.device_id) for term in self.where)
        )
        if order.name == "tags":
            statement = statement.where(_first_tag(order))
        if after is not None and after.key is not None:
            place = sa.tuple_(c.key, c.device_id)
            here = sa.tuple_(sa.literal(after.key), sa.literal(after.number, sa.BigInteger))
            statement = statement.where(place < here if order.descending else place > here)
        ways = [c.key.desc(), c.device_id.desc()] if order.descending else [c.key, c.device_id]
        return [Found(*row) for row in connection.execute(statement.order_by(*ways).limit(limit))]


def place_of(connection: Connection, order: Order | None, number: int) -> Place:
    """Where the device with this number is in the list."""
    if order is None:
        return Place(None, number)
    ends = sa.func.max if order.descending else sa.func.min
    c = device_attributes.c
    statement = sa.select(ends(c.key)).where(c.device_id == number, c.name == order.name)
    return Place(connection.execute(statement).scalar(), number)


def _driven(
    statement: sa.Select[Any], name: str, tenant: str | None, key: str | None
) -> sa.Select[Any]:
    """Rows of one attribute, joined with their devices."""
    c = device_attributes.c
    statement = statement.select_from(
        device_attributes.join(devices, devices.c.id == c.device_id)
    ).where(c.name == name)
    if tenant is not None:
        statement = statement.where(c.tenant == tenant)
    if key is not None:
        statement = statement.where(c.key == key)
    return statement


def _holds(term: Term, number: Any) -> sa.ColumnElement[bool]:
    exists = _has(term.name, term.key, number)
    return ~exists if term.negated else exists


def _has(name: str, key: str | None, number: Any = devices.c.id) -> sa.ColumnElement[bool]:
    one = device_attributes.alias()
    statement = sa.select(sa.literal(1)).where(one.c.device_id == number, one.c.name == name)
    if key is not None:
        statement = statement.where(one.c.key == key)
    return statement.exists()


def _first_tag(order: Order) -> sa.ColumnElement[bool]:
    """A device is in a list once: by its first tag."""
    c, other = device_attributes.c, device_attributes.alias()
    before = other.c.key > c.key if order.descending else other.c.key < c.key
    return ~(
        sa.select(sa.literal(1))
        .where(other.c.device_id == c.device_id, other.c.name == c.name, before)
        .exists()
    )
