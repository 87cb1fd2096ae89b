"""What the command line and HTTP answer of limits of devices and tenants."""

from __future__ import annotations

from typing import Any

from mooring.dialects.times import iso_or_none
from mooring.identity.account import Quota
from mooring.limits.service import Limited
from mooring.limits.tenants import TenantState
from mooring.store.usage import DAY_MS

__all__ = ["limits", "tenant"]


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


def tenant(found: TenantState) -> dict[str, Any]:
    """A tenant with its limits and what it stores."""
    usage = found.usage
    oldest = None if usage.oldest_day is None else usage.oldest_day * DAY_MS
    return {
        "name": found.name,
        "devices": usage.devices,
        "limits": {
            "own": dict(found.own),
            "in_force": dict(found.in_force),
            "enforced": found.enforced,
        },
        "stored": {
            "messages": usage.messages,
            "bytes": usage.bytes,
            "oldest": iso_or_none(oldest),
            "displaced_messages": usage.displaced_messages,
            "displaced_bytes": usage.displaced_bytes,
            "displaced_at": iso_or_none(usage.displaced_at),
        },
        "dead_letter_bytes": usage.dead_letter_bytes,
    }
