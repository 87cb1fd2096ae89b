"""Signatures of webhooks as Standard Webhooks describes them (standardwebhooks.com). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

__all__ = ["PREFIX", "new_secret", "sign"]

PREFIX = "whsec_"
_BYTES = 32  # the specification allows 24 to 64


def new_secret() -> str:
    """``whsec_`` and random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header ``webhook-signature``.

    Args:
        timestamp: of the attempt, seconds since 1970.

    Raises:
        ValueError: it is not a secret that ``new_secret`` makes.
    """
    if not secret.startswith(PREFIX):
        raise ValueError("not a secret of a webhook")
    key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
