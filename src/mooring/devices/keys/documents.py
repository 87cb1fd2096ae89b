"""What the command line and HTTP answer of the keys of a device."""

from __future__ import annotations

from typing import Any

from mooring.devices.keys.model import DeviceKey
from mooring.dialects.times import iso, iso_or_none

__all__ = ["key"]


def key(found: DeviceKey) -> dict[str, Any]:
    """A public key."""
    return {
        "key": found.id,
        "algorithm": found.algorithm,
        "label": found.label,
        "created_at": iso(found.created_at),
        "used_at": iso_or_none(found.issued_at),
    }
