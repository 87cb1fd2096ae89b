"""What adding many devices works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring.devices.attributes.model import Held
from mooring.devices.model import Device, NewDevice

__all__ = ["Checked", "Entry", "Wrong"]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line that cannot be taken, and why, as a sentence."""

    line: int
    why: str

    def __str__(self) -> str:
        return f"Line {self.line}: {self.why}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A device to add; unchecked.

    Attributes:
        line: where it stood, for messages.
        username: where it is not what the dialect makes of its names.
        verifier: of the password it has already, if that is known.
    """

    line: int
    device: NewDevice
    username: str | None = None
    verifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """A device ready to be stored."""

    device: Device
    scope: str
    mac_key: str | None
    verifier: str | None = field(repr=False)
    attributes: Mapping[str, Held] = field(default_factory=dict)
