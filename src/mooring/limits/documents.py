"""What the command line and HTTP answer of limits of devices and tenants."""

from __future__ import annotations

from typing import Any

from mooring.identity.account import Quota
from mooring.limits.service import Limited

__all__ = ["limits"]


def limits(tenant: str, device: str | None, found: Limited) -> dict[str, Any]:
    """A device's limits, or without a device a tenant's."""
    return {
        "tenant": tenant,
        "device": device,
        "own": _quota(found.own),
        "in_force": _quota(found.in_force),
        "enforced": found.enforced,
    }


def _quota(quota: Quota) -> dict[str, int | None]:
    return {
        "connections": quota.connections,
        "messages": quota.messages,
        "bytes": quota.bytes,
    }
