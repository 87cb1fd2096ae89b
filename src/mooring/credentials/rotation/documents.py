"""What the command line and HTTP answer of rotations. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.credentials.rotation.model import Rotation
from mooring.dialects.times import iso, iso_or_none

__all__ = ["rotation"]


def rotation(device: str, tenant: str, found: Rotation) -> dict[str, Any]:
    """A rotation of a device's password, without the password."""
    return {
        "id": found.id,
        "device": device,
        "tenant": tenant,
        "phase": str(found.phase),
        "over": found.phase.over,
        "reason": found.reason,
        "requested_by": found.actor,
        "created_at": iso(found.created_at),
        "finished_at": iso_or_none(found.finished_at),
        "sends": found.sends,
        "changes": found.flips,
        "outcome": found.outcome,
    }
