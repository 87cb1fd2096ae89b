"""What a stream is about: changes, and who wants which of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mooring.devices.reference import DeviceRef
from mooring.dialects.meaning import Scalar
from mooring.dialects.model import Kind

__all__ = ["KINDS", "PRESENCE", "Change", "Key", "Wanted"]

PRESENCE = "presence"
"""The platform's own word on a device, in addition to the kinds that devices speak."""

KINDS = frozenset(
    {
        PRESENCE,
        *map(
            str,
            (
                Kind.TELEMETRY,
                Kind.METRICS,
                Kind.EVENT,
                Kind.STATUS,
                Kind.HEARTBEAT,
                Kind.ONLINE,
                Kind.OFFLINE,
                Kind.ALERT,
                Kind.ALERT_CLEARED,
                Kind.REPLY,
                Kind.FIRMWARE_PROGRESS,
            ),
        ),
    }
)
"""What a client may ask for. Settings that devices report are not among them: they may hold
secrets, which only the service of settings masks."""


class Key(NamedTuple):
    """What is kept once: of one device, one kind, and where messages have one, one name."""

    device_id: int
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one message says.

    Attributes:
        device: whose it is; its tenant is the wall.
        channel: on which it came; empty for what the platform says.
        name: of an alert, an event, a command; otherwise empty.
        at: the device's time, or the receive time, epoch milliseconds.
        values: metric → value.
    """

    device: DeviceRef
    kind: str
    channel: str
    name: str
    at: int
    values: Mapping[str, Scalar]

    @property
    def key(self) -> Key:
        return Key(self.device.id, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one subscription is about.

    Attributes:
        tenant: the only tenant it sees; ``None``: all. From the login, never from the client.
        devices: numbers of devices; ``None``: every device that it sees.
        kinds: words of ``KINDS``.
    """

    tenant: str | None
    devices: frozenset[int] | None
    kinds: frozenset[str]

    def covers(self, device: DeviceRef, kind: str) -> bool:
        """Whether it is about this kind of this device."""
        return (
            kind in self.kinds
            and (self.tenant is None or self.tenant == device.tenant)
            and (self.devices is None or device.id in self.devices)
        )
