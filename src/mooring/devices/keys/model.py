"""Values of device keys. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DeviceKey", "Token"]


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A public key of a device.

    Attributes:
        id: the first 32 hex digits of the SHA-256 of the key (DER, SubjectPublicKeyInfo).
        algorithm: the only one that is accepted of it: RS256, ES256 or EdDSA.
        pem: the key.
        issued_at: of the newest token that was exchanged; older ones are rejected.
    """

    id: str
    device_id: int
    algorithm: str
    pem: str
    label: str
    created_at: int
    issued_at: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token that a device's key has signed."""

    key: DeviceKey
    issued_at: int
    expires_at: int
