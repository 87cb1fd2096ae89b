"""Which devices of a tenant something concerns: by name, all of them, by a query, or a group.

A selector is a value that can be stored and evaluated later, each time on the devices there are
then. Nothing here checks what an actor may do: the caller asks for the tenant's devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices import group_store
from mooring.devices.attributes.query import terms
from mooring.devices.attributes.search_store import Place, Search
from mooring.devices.attributes.terms import Condition, InGroup
from mooring.devices.model import Group
from mooring.errors import Invalid, NotFound
from mooring.store.given import GIVEN, given, parameter
from mooring.store.schema import devices
from mooring.store.schema.base import shown

__all__ = ["NAMES_MAX", "Selector", "conditions_of", "group_not_found"]

NAMES_MAX = 10_000
"""Devices that one selector can name."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Devices of one tenant. With neither names, query nor group: all of them.

    Attributes:
        names: of devices; those that do not exist are not counted.
        where: a query (``mooring.devices.attributes.language``).
        group: a static or a dynamic group.
    """

    tenant: str
    names: tuple[str, ...] | None = None
    where: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Raises ``Invalid`` (``invalid_selector`` or ``invalid_search``) for one that cannot be
        evaluated."""
        if sum(one is not None for one in (self.names, self.where, self.group)) > 1:
            raise Invalid(
                "Devices are selected by names, by a query or by a group.",
                hint="Use one of them.",
                code="invalid_selector",
            )
        if self.names is not None and len(self.names) > NAMES_MAX:
            raise Invalid(
                f"The selection names {len(self.names):,} devices; {NAMES_MAX:,} are allowed.",
                hint="Select them by a group or a query.",
                code="invalid_selector",
            )
        if any(shown(one, len(one) + 1) != one for one in (*(self.names or ()), self.group or "")):
            raise Invalid(
                "A name has characters that no name has.",
                hint="Use names of devices and groups.",
                code="invalid_selector",
            )
        if self.where is not None:
            terms([self.where])

    def __str__(self) -> str:
        if self.names is not None:
            some = ", ".join(self.names[:3])
            return f"{some}, … ({len(self.names):,} devices)" if self.names[3:] else some
        if self.where is not None:
            return f"devices where {self.where}"
        if self.group is not None:
            return f"group {self.group}"
        return f"all devices of {self.tenant}"

    def document(self) -> dict[str, Any]:
        """The selector as JSON; ``of_document`` reads it."""
        found: dict[str, Any] = {"tenant": self.tenant}
        if self.names is not None:
            found["devices"] = list(self.names)
        if self.where is not None:
            found["where"] = self.where
        if self.group is not None:
            found["group"] = self.group
        return found

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Selector:
        """Reads what ``document`` made."""
        names = document.get("devices")
        return cls(
            document["tenant"],
            None if names is None else tuple(names),
            document.get("where"),
            document.get("group"),
        )

    def check(self, connection: Connection) -> None:
        """Checks that what it names exists.

        Raises:
            NotFound: ``group_not_found`` or ``device_not_found``.
        """
        if self.group is not None:
            found = group_store.find(connection, self.tenant, [self.group])
            if self.group not in found:
                raise group_not_found(self.group)
        if self.names is not None:
            missing = set(self.names) - self._existing(connection)
            if missing:
                raise NotFound(
                    f"There is no device {min(missing)}.",
                    hint="`mooring device list` shows every device.",
                    code="device_not_found",
                )

    def count(self, connection: Connection) -> int:
        """How many devices it selects now."""
        if self.names is not None:
            statement = (
                sa.select(sa.func.count()).select_from(devices).where(self._named(connection))
            )
            return int(connection.execute(statement, self._parameter()).scalar_one())
        search = self._search(connection)
        return 0 if search is None else search.count(connection)

    def page(self, connection: Connection, after: int, limit: int) -> Sequence[int]:
        """Numbers of the devices, the lowest first, from the one after number ``after``."""
        if self.names is not None:
            statement = sa.select(devices.c.id).where(self._named(connection), devices.c.id > after)
            statement = statement.order_by(devices.c.id).limit(limit)
            return connection.execute(statement, self._parameter()).scalars().all()
        search = self._search(connection)
        if search is None:
            return ()
        return [one.number for one in search.page(connection, Place(None, after), limit)]

    # ------------------------------------------------------------------ inside

    def _search(self, connection: Connection) -> Search | None:
        """What to search for; ``None``: a group that does not exist."""
        where: tuple[Condition, ...] = ()
        if self.where is not None:
            where = terms([self.where])
        if self.group is not None:
            group = group_store.find(connection, self.tenant, [self.group]).get(self.group)
            if group is None:
                return None
            where = conditions_of(group)
        return Search(where=where, tenant=self.tenant)

    def _named(self, connection: Connection) -> sa.ColumnElement[bool]:
        some = given(connection.dialect.name, {"name": devices.c.name.type})
        return sa.and_(devices.c.tenant == self.tenant, devices.c.name.in_(sa.select(some.c.name)))

    def _parameter(self) -> dict[str, str]:
        return {GIVEN: parameter([name] for name in self.names or ())[GIVEN]}

    def _existing(self, connection: Connection) -> set[str]:
        statement = sa.select(devices.c.name).where(self._named(connection))
        return set(connection.execute(statement, self._parameter()).scalars())


def conditions_of(group: Group) -> tuple[Condition, ...]:
    """What the devices of a group have in common."""
    return (InGroup(group.name),) if group.query is None else terms([group.query])


def group_not_found(name: str) -> NotFound:
    """The error for a group that does not exist."""
    return NotFound(
        f"There is no group {name}.",
        hint="`mooring group list` shows every group.",
        code="group_not_found",
    )
