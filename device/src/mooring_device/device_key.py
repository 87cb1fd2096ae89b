"""A key of the device instead of a lasting password.

The device signs a token (JWT, RFC 7519) and exchanges it at the platform for a password that ends
by itself. Needs ``cryptography``: ``pip install mooring-device[key]``.
"""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any, Callable

from mooring_device.errors import InvalidSetting

__all__ = ["DeviceKey"]

HTTP_SECONDS = 300  # validity of a token that is used as a password over HTTP
LIFETIME_MOST = 86_400
RENEW_AT = 0.8  # of the password's validity
RETRY_SECONDS = 60.0
PART_BYTES = 32  # of an ES256 signature: r and s (RFC 7518, 3.4)

Sign = Callable[[bytes], bytes]


class DeviceKey:
    """A private key: EC P-256, Ed25519, or RSA with at least 2048 bits.

    Args:
        file: the key in PEM, without a passphrase, readable by the device's user only.
        audience: the name of the installation; ``mooring device key add`` shows it.
        lifetime: seconds for which a token, and so the password, is valid.

    Raises:
        InvalidSetting: the file cannot be read or used, or ``cryptography`` is not installed.
    """

    def __init__(
        self, file: str | os.PathLike[str], audience: str, *, lifetime: int = 3600
    ) -> None:
        if not audience or not 60 <= lifetime <= LIFETIME_MOST:
            raise InvalidSetting(
                "A device key needs an audience, and a lifetime of 60 to 86400 seconds.",
                hint="`mooring device key add` shows the audience.",
            )
        self._algorithm, self._sign = _signer(Path(file))
        self._audience, self._lifetime = audience, lifetime
        self._renew_at = float("-inf")

    def __repr__(self) -> str:
        return f"DeviceKey({self._algorithm})"

    def token(self, username: str, *, now: float | None = None, seconds: int = 0) -> str:
        """A token for the device with this username."""
        at = int(time.time() if now is None else now)
        header = {"alg": self._algorithm, "typ": "JWT"}
        claims = {
            "sub": username,
            "aud": self._audience,
            "iat": at,
            "exp": at + (seconds or self._lifetime),
        }
        body = f"{_part(header)}.{_part(claims)}"
        return f"{body}.{_encoded(self._sign(body.encode()))}"

    # ------------------------------------------------------------------ when a password is due

    def due(self, now: float) -> bool:
        """Whether a new password is to be asked for."""
        return now >= self._renew_at

    def renewed(self, now: float, expires: float) -> None:
        """A password was given that is valid until then."""
        self._renew_at = now + max(0.0, expires - now) * RENEW_AT

    def failed(self, now: float) -> None:
        """None was given: to be asked for again, but not at every turn."""
        self._renew_at = now + RETRY_SECONDS

    def refused(self) -> None:
        """The broker has rejected the password."""
        self._renew_at = min(self._renew_at, time.time() + RETRY_SECONDS)


def _signer(file: Path) -> tuple[str, Sign]:
    try:
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415
            ec,
            ed25519,
            padding,
            rsa,
            utils,
        )
    except ImportError as exc:
        raise InvalidSetting(
            "A device key needs the package cryptography.",
            hint="pip install mooring-device[key]",
        ) from exc
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as exc:
        raise InvalidSetting(
            f"The key file {file} cannot be used: {type(exc).__name__}.",
            hint="It must hold a private key in PEM, without a passphrase.",
        ) from exc
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "EdDSA", key.sign
    if isinstance(key, rsa.RSAPrivateKey):
        rsa_key = key
        return "RS256", lambda data: rsa_key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        ec_key = key

        def sign(data: bytes) -> bytes:
            found = utils.decode_dss_signature(ec_key.sign(data, ec.ECDSA(hashes.SHA256())))
            return b"".join(number.to_bytes(PART_BYTES, "big") for number in found)

        return "ES256", sign
    raise InvalidSetting(
        f"The key in {file} is of a kind that is not supported.",
        hint="Use EC P-256, Ed25519, or RSA.",
    )


def _part(content: dict[str, Any]) -> str:
    return _encoded(json.dumps(content, separators=(",", ":")).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
