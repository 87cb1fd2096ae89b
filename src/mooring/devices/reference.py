"""A device as messages and projections refer to it: who it is and where it listens."""

from __future__ import annotations

from dataclasses import dataclass, field

from mooring.devices.model import Device
from mooring.dialects.model import Dialect, Identity, Kind

__all__ = ["DeviceRef"]


@dataclass(frozen=True, slots=True, eq=False)
class DeviceRef:
    """One device. Compared by identity: one object until the device or its dialect changes."""

    id: int
    tenant: str
    name: str
    dialect: Dialect
    identity: Identity
    _topics: dict[Kind, str | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, device: Device, dialect: Dialect) -> DeviceRef:
        return cls(device.id, device.tenant, device.name, dialect, device.identity)

    def down_topic(self, kind: Kind) -> str | None:
        """Where the device listens for this kind; ``None`` where its dialect has no such
        channel."""
        if kind not in self._topics:
            self._topics[kind] = next(
                (
                    topic
                    for channel in self.dialect.of_kind(kind)
                    for topic in channel.addresses(self.identity)
                ),
                None,
            )
        return self._topics[kind]
