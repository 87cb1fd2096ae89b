"""What the command line and HTTP answer of people, their keys and tenants. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.dialects.times import iso, iso_or_none
from mooring.identity.scopes import written
from mooring.people.model import ApiKey, User

__all__ = ["key", "tenant", "user"]


def user(found: User) -> dict[str, Any]:
    """A person."""
    return {
        "name": found.name,
        "role": found.role.name.lower(),
        "tenant": found.tenant,
        "disabled": found.disabled,
        "issuer": found.issuer,
        "created_at": iso(found.created_at),
    }


def key(found: ApiKey) -> dict[str, Any]:
    """An API key, without its secret."""
    return {
        "prefix": found.prefix,
        "name": found.name,
        "role": found.role.name.lower(),
        "tenant": found.tenant,
        "scopes": None if found.scopes is None else (written(found.scopes) or "").split(),
        "created_at": iso(found.created_at),
        "expires_at": iso_or_none(found.expires_at),
        "revoked_at": iso_or_none(found.revoked_at),
    }


def tenant(name: str) -> dict[str, Any]:
    """An owner of devices."""
    return {"name": name}
