"""HTTP Basic with a device's MQTT credentials.

A username may hold colons (``device:tenant:name``, a MAC address), which RFC 7617 does not
provide for: the first colon would end it. So a header is read in every way it can be.
"""

from __future__ import annotations

import base64
import binascii

from fastapi import Request
from fastapi.security import HTTPBasic

from mooring.errors import Unauthorized

__all__ = ["device_logins", "scheme", "splits"]

COLONS_MAX = 32

scheme = HTTPBasic(
    auto_error=False, scheme_name="device", description="The device's MQTT username and password."
)


def splits(pair: str) -> list[tuple[str, str]]:
    """Each way to read ``username:password``, the longest username first."""
    colons = [place for place, character in enumerate(pair) if character == ":"]
    return [(pair[:place], pair[place + 1 :]) for place in reversed(colons[:COLONS_MAX])]


def device_logins(request: Request) -> list[tuple[str, str]]:
    """What the header may mean.

    Raises:
        Unauthorized: none exists, or it cannot be read.
    """
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    try:
        pair = base64.b64decode(value.strip(), validate=True).decode() if value else ""
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    # No login holds NUL, and PostgreSQL does not even compare with it.
    found = splits(pair) if kind.lower() == "basic" and "\0" not in pair else []
    if not found:
        raise Unauthorized(
            "Send the device's username and password (HTTP Basic).",
            hint="They are the same as for MQTT.",
            code="device_login_needed",
        )
    return found
