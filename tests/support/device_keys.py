"""Key pairs of devices, and tokens that they sign."""

from __future__ import annotations

from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

__all__ = ["KINDS", "private_key", "private_pem", "public_pem", "signed"]

KINDS = ("ES256", "EdDSA", "RS256")


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """The same one for the same arguments."""
    match kind:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case _:
            raise ValueError(kind)


def public_pem(key: Any) -> str:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    made: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, kind)
    return made.decode()


def private_pem(key: Any) -> bytes:
    made: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made


def signed(key: Any, algorithm: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token; claims that are ``None`` are left out."""
    content = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(content, key, algorithm=algorithm, headers=header)
