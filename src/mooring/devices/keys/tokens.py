"""Keys that a device may have, and checking its tokens. Pure.

The key decides how a token is checked, never the token: each key has one algorithm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from mooring.devices.keys.model import DeviceKey, Token
from mooring.errors import Invalid
from mooring.later import later

with later():
    import jwt
    from cryptography import exceptions
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

__all__ = ["LIFETIME_SECONDS_MAX", "TOKEN_MAX", "check", "looks_like_one", "public_key"]

TOKEN_MAX = 4096  # characters
LIFETIME_SECONDS_MAX = 86_400
LEEWAY_SECONDS = 60  # of the device's clock
RSA_BITS_LEAST, RSA_BITS_MOST = 2048, 4096
PEM_MAX = 8192


def public_key(pem: str) -> tuple[str, str, str]:
    """Id, algorithm and PEM text of a public key.

    Raises:
        Invalid: it is not one, or of a kind that is not accepted (``invalid_device_key``).
    """
    if len(pem) > PEM_MAX or "PRIVATE KEY" in pem:
        raise _bad("It is a private key, or too long.")
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnicodeError) as exc:
        raise _bad("It is not a public key in PEM.") from exc
    except exceptions.UnsupportedAlgorithm as exc:
        raise _bad("It is of a kind that is not supported.") from exc
    if isinstance(key, rsa.RSAPublicKey):
        if not RSA_BITS_LEAST <= key.key_size <= RSA_BITS_MOST:
            raise _bad(f"RSA keys have {RSA_BITS_LEAST} to {RSA_BITS_MOST} bits.")
        algorithm = "RS256"
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = "ES256"
    elif isinstance(key, ed25519.Ed25519PublicKey):
        algorithm = "EdDSA"
    else:
        raise _bad("It is of a kind that is not supported.")
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    number = hashlib.sha256(key.public_bytes(serialization.Encoding.DER, kind)).hexdigest()[:32]
    return number, algorithm, key.public_bytes(serialization.Encoding.PEM, kind).decode()


def looks_like_one(password: str) -> bool:
    """Whether a password is written like a token: no generated password is."""
    return password.startswith("eyJ") and password.count(".") == 2 and len(password) <= TOKEN_MAX


def check(
    token: str, keys: Sequence[DeviceKey], *, username: str, audience: str, at_ms: int
) -> Token | None:
    """A token that one of these keys signed for this username and installation, and that is valid
    now and not older than the newest that was exchanged; ``None``: it is not."""
    if not looks_like_one(token):
        return None
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        return None
    named = header.get("kid")
    for key in keys:
        if header.get("alg") != key.algorithm or "crit" in header:
            continue  # RFC 7515, 4.1.11: extensions must be understood, and we understand none
        if named is not None and named != key.id:
            continue
        claims = _claims(token, key, audience)
        if claims is not None:
            return _valid(claims, key, username, at_ms / 1000)
    return None


def _claims(token: str, key: DeviceKey, audience: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = jwt.decode(
            token,
            key.pem,
            algorithms=[key.algorithm],
            audience=audience,
            # Times are compared below, with the clock that is given.
            options={
                "require": ["aud", "sub", "iat", "exp"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.PyJWTError:
        return None
    return found


def _valid(claims: dict[str, Any], key: DeviceKey, username: str, now: float) -> Token | None:
    issued, expires, begins = (_number(claims.get(name)) for name in ("iat", "exp", "nbf"))
    if issued is None or expires is None or claims["sub"] != username:
        return None
    if "nbf" in claims and (begins is None or begins > now + LEEWAY_SECONDS):
        return None
    latest = min(issued, now) + LIFETIME_SECONDS_MAX + LEEWAY_SECONDS
    if not issued <= now + LEEWAY_SECONDS or not now < expires + LEEWAY_SECONDS:
        return None
    if not issued < expires <= latest:
        return None
    if key.issued_at is not None and int(issued * 1000) < key.issued_at:
        return None
    return Token(key, int(issued * 1000), int(expires * 1000))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None


def _bad(why: str) -> Invalid:
    return Invalid(
        f"The key cannot be used. {why}",
        hint="Use a public key in PEM: EC P-256, Ed25519, or RSA with 2048 to 4096 bits.",
        code="invalid_device_key",
    )
