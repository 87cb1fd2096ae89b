"""Claim codes as they are asked for, stored and answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sqlalchemy.engine import Connection

from mooring.devices.model import Credentials

__all__ = ["Admitted", "ClaimCode", "Claimed", "FleetCodes", "Issued", "NewClaim"]


@dataclass(frozen=True, slots=True)
class NewClaim:
    """What somebody wants a code for; unchecked.

    Attributes:
        label: what people call the device (``Kitchen``).
        name: its id in topics; made from the hardware id when ``None``. The name of a device
            that is there already gives that one new credentials.
        seconds: how long the code is valid; the setting's time when ``None``.
        attributes: what the device gets that uses the code.
    """

    dialect: str
    tenant: str = "default"
    label: str = ""
    name: str | None = None
    groups: tuple[str, ...] = ()
    seconds: float | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClaimCode:
    """A code as it is stored: without the code. Times are epoch milliseconds."""

    id: int
    tenant: str
    dialect: str
    label: str
    name: str | None
    groups: tuple[str, ...]
    attributes: Mapping[str, object]
    created_at: int
    created_by: str
    expires_at: int
    revoked_at: int | None
    claimed_at: int | None
    hardware_id: str | None
    device_id: int | None

    def state(self, at: int) -> str:
        """``open``, ``claimed``, ``revoked`` or ``expired``."""
        if self.revoked_at is not None:
            return "revoked"
        if self.claimed_at is not None:
            return "claimed"
        return "expired" if at >= self.expires_at else "open"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new code; shown once, for only its digest is stored."""

    claim: ClaimCode
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a device gets for its code.

    ``changes``: change numbers to wait for. ``again``: it had asked before.
    """

    credentials: Credentials
    changes: list[int]
    again: bool = False


class Admitted(NamedTuple):
    """A device that a fleet code accepts, and the name of who decided that, for the audit."""

    wanted: NewClaim
    by: str


class FleetCodes(Protocol):
    """Codes that many devices have: each of them claims credentials of its own with one."""

    def read(self, text: str) -> str | None:
        """A fleet code however it was typed; ``None`` for what cannot be one."""
        ...

    def known(self, connection: Connection, code: str, *, lock: bool) -> bool:
        """Whether there is such a code. ``lock``: nobody else uses it until the transaction
        ends."""
        ...

    def admit(self, connection: Connection, code: str, name: str) -> Admitted | None:
        """Counts one more device, in the caller's write transaction; ``None``: the code is not
        valid for a device of this name.

        Raises:
            Conflict: ``discovery_quota_used``.
        """
        ...
