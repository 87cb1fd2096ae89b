"""What a list of devices is narrowed by, and what it shows of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mooring.devices.attributes.language import PRESENCE
from mooring.devices.attributes.model import Held
from mooring.devices.attributes.query import Place, quoted
from mooring.devices.attributes.terms import Problem
from mooring.devices.model import Device
from mooring.errors import Invalid
from mooring.fleet.spots import Spot

__all__ = ["STATES", "VALUES_MAX", "Count", "CountBy", "DeviceRow", "Filter", "Listing", "Map"]

STATES = (*PRESENCE, "connected", "disconnected", "enabled", "disabled")
"""What a list can be narrowed to."""
VALUES_MAX = 8
"""Values of one filter."""


class CountBy(StrEnum):
    """What devices are counted by."""

    FIRMWARE = "firmware"
    DIALECT = "dialect"
    GROUP = "group"
    PRESENCE = "presence"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Filter:
    """What devices of a list have in common: every part that is given must hold.

    Attributes:
        tenant: only its devices; ``None``: those of all tenants.
        search: part of a name, label, MAC address, username or network address.
        where: queries (``mooring.devices.attributes.language``).
        states: of ``STATES``; one of them must hold.
        firmware: versions, of which the device has one; an empty text: none is known.
        group: static or dynamic; its name means something in one tenant only.
        silent_ms: the newest message is older than this.
        problems: of ``mooring.devices.attributes.terms.Problem`` or ``any``; one must hold.
    """

    tenant: str | None = None
    dialect: str | None = None
    search: str = ""
    where: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    group: str | None = None
    silent_ms: int | None = None
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ``Invalid`` (``invalid_search``) for a value that does not exist."""
        _check("state", self.states, STATES)
        _check("problem", self.problems, ("any", *Problem))
        if len(self.firmware) > VALUES_MAX:
            raise _too_many("firmware")
        if self.silent_ms is not None and self.silent_ms <= 0:
            raise Invalid(
                "The time without a message is not positive.",
                hint="Use a duration such as 15m or 2h.",
                code="invalid_search",
            )

    def queries(self) -> tuple[str, ...]:
        """The filter as queries that must all hold, without tenant and group."""
        found = list(self.where)
        if self.dialect is not None:
            found.append(f"dialect = {quoted(self.dialect)}")
        if self.search.strip():
            found.append(f"search = {quoted(self.search)}")
        found += _one_of([f"presence = {s}" if s in PRESENCE else s for s in self.states])
        found += _one_of(
            [f"firmware = {quoted(v)}" if v.strip() else "not firmware = *" for v in self.firmware]
        )
        if self.silent_ms is not None:
            found.append(f"silent_for > {-(-self.silent_ms // 1000)}s")
        found += _one_of([f"problem = {'*' if p == 'any' else p}" for p in self.problems])
        return tuple(found)

    @property
    def narrowed(self) -> bool:
        return self != Filter()


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device in a list. Times are epoch milliseconds.

    Attributes:
        attributes: what is stored of it besides.
        presence: its state, and since when; ``None``: it was never seen.
        connected, address: by the broker's own word.
        problems: what may be wrong with it.
        place: where the list continues after it.
    """

    device: Device
    attributes: Mapping[str, Held]
    presence: str
    presence_since: int | None
    last_seen_at: int | None
    interval_ms: int | None
    connected: bool | None
    address: str | None
    firmware: str | None
    problems: tuple[Problem, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list.

    Attributes:
        more: whether the list continues.
        total: devices in the whole list; ``None``: not counted.
    """

    rows: list[DeviceRow]
    more: bool
    total: int | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many devices have a value; ``None``: the devices without one."""

    value: str | None
    devices: int


@dataclass(frozen=True, slots=True)
class Map:
    """Devices on a map.

    Attributes:
        placed: devices with a position; ``shown`` of them are in the part that was asked for.
        without: devices without a position.
        more: some were left out.
    """

    spots: list[Spot]
    placed: int
    shown: int
    without: int
    more: bool


def _one_of(parts: list[str]) -> list[str]:
    if len(parts) < 2:
        return parts
    return ["(" + " or ".join(parts) + ")"]


def _check(name: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if len(given) > VALUES_MAX:
        raise _too_many(name)
    for one in given:
        if one not in known:
            raise Invalid(
                f"{one[:40]!a} is not a {name} of devices.",
                hint=f"Use {', '.join(known)}.",
                code="invalid_search",
            )


def _too_many(name: str) -> Invalid:
    return Invalid(
        f"More than {VALUES_MAX} values of {name} are given.",
        hint="Use fewer.",
        code="invalid_search",
    )
