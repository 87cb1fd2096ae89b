"""A part: one domain's face to the processes.

``serve``, the command line, the supervisor and the database's schema take what the parts of
``mooring.parts`` bring, and name no domain. A part is cheap to import: what costs time is behind
a function or a module's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mooring.identity.scopes import Need, Scope
from mooring.supervisor.registry import Entry

if TYPE_CHECKING:
    from fastapi import APIRouter
    from sqlalchemy import Table

    from mooring.settings.field import Declared
    from mooring.supervisor.worker import Worker

__all__ = ["Noun", "Part", "Resident", "nothing"]


class Noun(NamedTuple):
    """One word after ``mooring``. The modules are named, because the command line is above the
    domains."""

    name: str
    modules: tuple[str, ...]
    """The first one has the ``typer.Typer`` called ``app``; the others add verbs to it."""

    verb: bool = False
    """Whether the word is a command of ``app``, not ``app`` itself."""


class Resident(Protocol):
    """Part of a serving process, from its start to its end; used from its event loop."""

    def workers(self) -> Sequence[Worker]:
        """Its lasting work."""
        ...

    async def close(self) -> None:
        """The process ends."""
        ...


Removal = Callable[[Any, Any, Any], None]
"""Called with the connection, the actor and the device: see ``mooring.devices.service``."""


def nothing() -> Sequence[Any]:
    """For a part without tables or routers."""
    return ()


def no_projections(_app: Any) -> Sequence[Any]:
    """For a part that derives nothing from messages, or does nothing for many devices."""
    return ()


@dataclass(frozen=True, slots=True)
class Part:
    """What a domain brings.

    Attributes:
        name: the name of its package.
        routers: its routes.
        scope: what an API key needs for those of its routes that change something; those that
            read need ``read``.
        scopes: exceptions, by method and path (``POST /api/v1/rules/trial``).
        services: operations, made from an ``App``; those that ``App`` has as attributes are
            not named again.
        tables: the tables that only its own SQL writes.
        projections: what it derives from messages, inside the transaction that stores them
            (``mooring.ingest.projection``); made from an ``App``, applied in the order of the
            parts.
        jobs: what it can do for many devices (``mooring.jobs.kinds``); made from an ``App``.
        workers: its lasting work. ``serve`` starts those of the role ``serve`` that can be made
            from an ``App``; other processes start theirs by name.
        counters: names in the table ``counters``.
        settings: the class that declares its settings; ``Settings`` inherits from it.
        nouns: its words on the command line.
        removals: what it does for a device before that is deleted, in the same transaction.
        residents: what lives as long as a serving process, made from an ``App`` and the
            process's ``Current``; routes find it by its class.
    """

    name: str
    routers: Callable[[], Sequence[APIRouter]] = field(default=nothing)
    scope: Scope = Scope.ADMIN
    scopes: Mapping[str, Need] = field(default_factory=dict)
    services: Callable[[], Mapping[type, Callable[[Any], object]]] = field(default=dict)
    tables: Callable[[], Sequence[Table]] = field(default=nothing)
    projections: Callable[[Any], Sequence[Any]] = field(default=no_projections)
    jobs: Callable[[Any], Sequence[Any]] = field(default=no_projections)
    workers: tuple[Entry, ...] = ()
    counters: tuple[str, ...] = ()
    settings: Callable[[], type[Declared]] | None = None
    nouns: tuple[Noun, ...] = ()
    removals: Callable[[], Sequence[Removal]] = field(default=nothing)
    residents: Callable[[], Mapping[type, Callable[[Any, Any], Resident]]] = field(default=dict)


def noun(name: str, *more: str, module: str = "") -> Noun:
    """A noun of the module ``mooring.cli.NAME``, with verbs from more modules next to it."""
    modules = (module or name.replace("-", "_"), *more)
    return Noun(name, tuple(f"mooring.cli.{one}" for one in modules))


def verb(name: str, module: str = "") -> Noun:
    """A command directly after ``mooring``."""
    return Noun(name, (f"mooring.cli.{module or name}",), verb=True)
