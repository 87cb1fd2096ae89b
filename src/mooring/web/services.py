"""What routes work with: the services of the platform, as they are at the time of the request.

A route names the services it needs by their class::

    Found = Annotated[Devices, provided(Devices)]

    @router.get("/{device}")
    def show(devices: Found, …): …

The serving process puts a ``Current`` into ``app.state.current``.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from mooring.dialects import Catalogue
from mooring.identity.actor import Actor
from mooring.settings import Settings
from mooring.store.engine import Database

__all__ = [
    "CatalogueNow",
    "Current",
    "DatabaseNow",
    "Platform",
    "SettingsNow",
    "now",
    "platform_now",
    "provided",
]

T = TypeVar("T")


class Platform(Protocol):
    """The services of a process, and who may use them."""

    def service(self, kind: type[T]) -> T:
        """The service of that class.

        Raises:
            LookupError: none exists.
        """
        ...

    def authenticate(self, secret: str, origin: str) -> Actor:
        """The person or program that a login token or API key belongs to.

        Raises:
            Unauthorized: it is not valid.
        """
        ...


class Current(Protocol):
    """Hands out the platform as it is now; safe from any thread."""

    @property
    def held(self) -> Platform:
        """As it was at the last look; asks the database nothing."""
        ...

    @property
    def due(self) -> bool:
        """Whether ``app`` would look."""
        ...

    def app(self) -> Platform:
        """Raises ``DatabaseUnavailable`` when that cannot be found out."""
        ...


async def now(request: Request) -> Platform:
    """The platform at the time of the request; once for each request. A thread costs more than
    most requests, so it is used only when the database is asked."""
    return await platform_now(request.app.state.current)


async def platform_now(current: Current) -> Platform:
    """The platform now; see ``now``."""
    return await run_in_threadpool(current.app) if current.due else current.held


def provided(kind: type[Any]) -> Any:
    """The dependency that gives a route the service of that class."""

    async def find(platform: Annotated[Platform, Depends(now)]) -> Any:
        return platform.service(kind)

    return Depends(find)


CatalogueNow = Annotated[Catalogue, provided(Catalogue)]
DatabaseNow = Annotated[Database, provided(Database)]
SettingsNow = Annotated[Settings, provided(Settings)]
