"""What the command line and HTTP answer of claim codes. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.credentials.claims.model import ClaimCode
from mooring.dialects.times import iso, iso_or_none

__all__ = ["claim"]


def claim(found: ClaimCode, now: int) -> dict[str, Any]:
    """A claim code, without the code.

    Args:
        now: epoch milliseconds; an open code has expired by then or not.
    """
    return {
        "id": found.id,
        "state": found.state(now),
        "tenant": found.tenant,
        "dialect": found.dialect,
        "label": found.label,
        "name": found.name,
        "groups": list(found.groups),
        "attributes": dict(found.attributes),
        "created_at": iso(found.created_at),
        "created_by": found.created_by,
        "expires_at": iso(found.expires_at),
        "revoked_at": iso_or_none(found.revoked_at),
        "claimed_at": iso_or_none(found.claimed_at),
        "hardware_id": found.hardware_id,
    }
