"""The actor of a request, and the separation of tenants.

Every service call takes an ``Actor``. ``walled`` narrows a statement to what the actor may
see; ``require`` rejects what the role may not do. Nothing else in Mooring decides on tenants.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Result, Select, bindparam
from sqlalchemy.engine import Connection

from mooring.errors import Forbidden, NotFound
from mooring.identity.scopes import Scope

__all__ = ["KEY", "SYSTEM", "Actor", "Role", "Walled", "walled"]

S = TypeVar("S", bound=Select[tuple[object, ...]])


KEY = "key:"
"""No login has a colon in its name."""


class Role(IntEnum):
    """What a person may do; each role may do what the ones below it may."""

    VIEWER = 1  # read
    OPERATOR = 2  # and change devices, send commands
    ADMIN = 3  # and people, keys, broker, dialects

    @classmethod
    def of(cls, word: str) -> Role:
        return cls[word.upper()]

    @property
    def scopes(self) -> frozenset[Scope]:
        """Those that a key of this role can have any use of."""
        match self:
            case Role.VIEWER:
                return frozenset({Scope.READ})
            case Role.OPERATOR:
                return frozenset(Scope) - {Scope.ADMIN}
            case _:
                return frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, an API key or a part of the platform.

    Attributes:
        name: for the audit (``ada``, ``key:ci``, ``cli:root``).
        role: what it may do.
        tenant: the only tenant it sees; ``None`` sees all.
        origin: where the request came from (an address, ``local``).
        scopes: what an API key may be used for; ``None``: whatever the role allows.
    """

    name: str
    role: Role
    tenant: str | None = None
    origin: str = "local"
    scopes: frozenset[Scope] | None = None

    @property
    def is_key(self) -> bool:
        """Whether it is an API key, whose names begin with ``KEY``."""
        return self.name.startswith(KEY)

    def require_scope(self, scope: Scope) -> None:
        """Rejects an API key that may not be used for this.

        Raises:
            Forbidden: the key lacks the scope, which the error names.
        """
        if self.scopes is not None and scope not in self.scopes:
            raise Forbidden(
                f"The API key lacks the scope {scope}.",
                hint=f"Use a key that has it: `mooring key new NAME --scope {scope}`.",
                code="scope_missing",
                scope=str(scope),
            )

    def sees(self, tenant: str | None) -> bool:
        return self.tenant is None or self.tenant == tenant

    def require(self, role: Role, tenant: str | None = None) -> None:
        """Rejects a lower role, and another tenant as if it did not exist.

        Args:
            role: the least role that may.
            tenant: whose thing it is; ``None`` for things of the whole installation, which
                only an actor that sees every tenant may touch.

        Raises:
            Forbidden: the role is too low, or the thing belongs to the whole installation.
            NotFound: the thing belongs to a tenant the actor does not see.
        """
        if self.role < role:
            raise Forbidden(
                f"{self.name} is {self.role.name.lower()}; this requires {role.name.lower()}.",
                hint="Ask an administrator for the role or the change.",
            )
        if not self.sees(tenant):
            if tenant is None:
                raise Forbidden(
                    f"{self.name} belongs to the tenant {self.tenant}; this action concerns the "
                    f"whole installation.",
                    hint="Use a login without a tenant.",
                )
            raise NotFound(f"There is no tenant {tenant}.", code="tenant_not_found")


SYSTEM = Actor("mooring", Role.ADMIN)


def walled(statement: S, column: ColumnElement[str], actor: Actor) -> S:
    """``statement`` narrowed to the rows whose tenant ``actor`` sees."""
    return statement if actor.tenant is None else statement.where(column == actor.tenant)


class Walled:
    """A statement as ``walled`` narrows it, put together once for all actors: that costs more
    than running it.

    Args:
        statement: with parameters for its values.
        column: has the tenant of a row.
    """

    def __init__(self, statement: Select[Any], column: ColumnElement[str]) -> None:
        self._whole = statement
        self._own = statement.where(column == bindparam("tenant_of_actor", type_=column.type))

    def execute(self, connection: Connection, actor: Actor, values: dict[str, Any]) -> Result[Any]:
        """The rows that ``actor`` may see."""
        if actor.tenant is None:
            return connection.execute(self._whole, values)
        return connection.execute(self._own, {**values, "tenant_of_actor": actor.tenant})
