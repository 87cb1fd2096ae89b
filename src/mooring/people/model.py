"""Values of people and API keys. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope

__all__ = ["ApiKey", "IssuedKey", "NewKey", "NewUser", "SavedView", "Session", "User", "Vouched"]


@dataclass(frozen=True, slots=True)
class User:
    """A person. ``tenant`` is the only tenant they see; ``None`` sees all. ``issuer`` is the
    sign-in provider that vouches for them; ``None``: their password here does."""

    name: str
    role: Role
    tenant: str | None
    disabled: bool
    created_at: int
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class NewUser:
    """Somebody to add; unchecked. Without a password one is generated."""

    name: str
    role: Role = Role.VIEWER
    tenant: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SavedView:
    """A list of devices that a person has given a name. ``query`` is that of its address."""

    name: str
    query: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody whom a sign-in provider vouches for. Issuer and subject together are who it is; the
    name is a wish."""

    issuer: str
    subject: str
    name: str
    role: Role
    tenant: str | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's key, without its secret. ``prefix`` is how it is named and found. ``scopes`` is
    what it may be used for; ``None``: whatever its role allows."""

    prefix: str
    name: str
    role: Role
    tenant: str | None
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    scopes: frozenset[Scope] | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to make; unchecked. Without ``expires_at`` it is valid until revoked."""

    name: str
    role: Role = Role.VIEWER
    tenant: str | None = None
    expires_at: int | None = None
    scopes: frozenset[Scope] | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its secret, which is shown once and stored nowhere."""

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A login: the bearer token and until when it is valid; the refresh token, and until when the
    login can be renewed."""

    actor: Actor
    token: str = field(repr=False)
    expires_at: int = 0
    refresh: str = field(default="", repr=False)
    refresh_expires_at: int = 0
