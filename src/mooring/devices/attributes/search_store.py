"""SQL of lists of devices by attributes.

A page begins where the one before ended (keyset), so it costs the same wherever it is. Each
condition and each order is read from an index that begins with the tenant, where the actor has
one, and with the attribute's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.attributes.order_store import own_key, own_page
from mooring.devices.attributes.query import Found, Order, Place
from mooring.devices.attributes.query_store import has, holds
from mooring.devices.attributes.terms import Condition, InGroup, Term
from mooring.store.schema import device_attributes, device_groups, devices

__all__ = ["Found", "Place", "Search", "place_of"]

FEW = 1000
"""Matches that are sorted, rather than found in the order of the list."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which devices.

    Attributes:
        conditions: on the table ``devices``.
        where: on attributes and what else is known of a device; all must hold.
        tenant: only its devices; ``None``: those of all tenants.
        order: by which attribute; by default the order in which devices were added.
    """

    conditions: Sequence[sa.ColumnElement[bool]] = ()
    where: Sequence[Condition] = ()
    tenant: str | None = None
    order: Order | None = None

    def page(self, connection: Connection, after: Place | None, limit: int) -> list[Found]:
        """Numbers of devices, in the order of the list."""
        order = self.order
        if order is None:
            return self._by_number(connection, after, limit, self.conditions)
        if order.own:
            return own_page(self, connection, order, after, limit)
        found: list[Found] = []
        if after is None or after.key is not None:
            found = self._by_key(connection, order, after, limit)
            after = None
        if len(found) < limit:
            without = [*self.conditions, ~has(order.name, None, devices.c.id)]
            found += self._by_number(connection, after, limit - len(found), without)
        return found

    def _by_number(
        self,
        connection: Connection,
        after: Place | None,
        limit: int,
        conditions: Sequence[sa.ColumnElement[bool]],
    ) -> list[Found]:
        statement, number = self.narrowed(connection, conditions)
        if after is not None:
            statement = statement.where(number > after.number)
        rows = connection.execute(statement.order_by(number).limit(limit))
        return [Found(row[0], None) for row in rows]

    def count(self, connection: Connection) -> int:
        """How many devices there are."""
        statement, number = self.narrowed(connection, self.conditions)
        counted = statement.with_only_columns(sa.func.count(number), maintain_column_froms=True)
        return int(connection.execute(counted).scalar_one())

    def narrowed(
        self, connection: Connection, conditions: Sequence[sa.ColumnElement[bool]]
    ) -> tuple[sa.Select[Any], Any]:
        """Numbers of the devices that meet every condition, each once, and their column."""
        driving = self._driving()
        group = next((t for t in self.where if isinstance(t, InGroup) and t.name is not None), None)
        number: Any
        if driving is not None:
            number = device_attributes.c.device_id
            statement = _driven(sa.select(number), driving.name, self.tenant, driving.key)
        elif group is not None:
            number = device_groups.c.device_id
            statement = _members(sa.select(number), group.name, self.tenant)
        else:
            number = devices.c.id
            statement = sa.select(number)
            if self.tenant is not None:
                statement = statement.where(devices.c.tenant == self.tenant)
        used = driving if driving is not None else group
        engine = connection.dialect.name
        others = [holds(one, number, engine) for one in self.where if one is not used]
        return statement.where(*conditions, *others), number

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
        return next(
            (
                term
                for term in self.where
                if isinstance(term, Term) and term.key is not None and not term.negated
            ),
            None,
        )

    def _by_key(
        self, connection: Connection, order: Order, after: Place | None, limit: int
    ) -> list[Found]:
        c = device_attributes.c
        statement = _driven(sa.select(c.device_id, c.key), order.name, self.tenant, None)
        few = self._few(connection)
        if few is not None:
            statement = statement.where(c.device_id.in_(few))
        engine = connection.dialect.name
        statement = statement.where(
            *self.conditions, *(holds(one, c.device_id, engine) for one in self.where)
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
    if order.own:
        return Place(own_key(connection, order, number), number)
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


def _members(statement: sa.Select[Any], group: str | None, tenant: str | None) -> sa.Select[Any]:
    """Members of one group, joined with their devices."""
    c = device_groups.c
    statement = statement.select_from(
        device_groups.join(devices, devices.c.id == c.device_id)
    ).where(c.group_name == group)
    return statement if tenant is None else statement.where(c.tenant == tenant)


def _first_tag(order: Order) -> sa.ColumnElement[bool]:
    """A device is in a list once: by its first tag."""
    c, other = device_attributes.c, device_attributes.alias()
    before = other.c.key > c.key if order.descending else other.c.key < c.key
    return ~(
        sa.select(sa.literal(1))
        .where(other.c.device_id == c.device_id, other.c.name == c.name, before)
        .exists()
    )
