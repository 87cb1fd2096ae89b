"""What is known of a device, and what adding one gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mooring.dialects.model import Identity
from mooring.record import record

__all__ = ["Credentials", "Device", "Group", "Login", "NewDevice"]


@record
class Login:
    """What a device may log in with.

    Attributes:
        verifier: of the password in force; ``None``: by certificate only.
        next_verifier: of the other password of a rotation under way.
        certificates: serial numbers of its certificates that are not revoked.
    """

    verifier: str | None = field(repr=False)
    next_verifier: str | None = field(default=None, repr=False)
    certificates: tuple[str, ...] = ()


@record
class Device:
    """One device. Times are epoch milliseconds."""

    id: int
    tenant: str
    name: str
    label: str
    dialect: str
    mac: str | None
    username: str
    client_id: str
    enabled: bool
    created_at: int
    groups: tuple[str, ...] = ()

    @property
    def identity(self) -> Identity:
        return Identity(self.tenant, self.name, self.mac, self.groups)

    @property
    def reference(self) -> str:
        """How a person names it without doubt."""
        return self.name if self.tenant == "default" else f"{self.tenant}:{self.name}"


@dataclass(frozen=True, slots=True)
class NewDevice:
    """What somebody wants to add; unchecked.

    ``username`` is for a device that has one already, and no other: by default the dialect makes
    it of the device's names.
    """

    name: str
    dialect: str
    tenant: str = "default"
    label: str = ""
    mac: str | None = None
    groups: tuple[str, ...] = ()
    username: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a device needs to connect. The password is shown once and stored nowhere.

    Attributes:
        topics: kind → topic, for people and firmware.
        shape: the same and more for the SDK (``mooring.dialects.device_shape``).
    """

    device: Device
    password: str = field(repr=False)
    topics: dict[str, str] = field(default_factory=dict)
    shape: dict[str, Any] = field(default_factory=dict)


class Group(NamedTuple):
    """A group of a tenant's devices.

    Attributes:
        query: of a dynamic group; ``None``: it is static.
        priority: among the groups of a device: the settings of the higher one win.
        created_at: epoch milliseconds.
    """

    id: int
    tenant: str
    name: str
    query: str | None
    description: str
    priority: int
    created_at: int
    created_by: str
