"""Firmware offers: what the platform says about an update, read and checked.

Pure: bytes in, an ``Offer`` or ``FirmwareRefused`` out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from mooring_device.dialect import Payload, look_up
from mooring_device.errors import FirmwareRefused
from mooring_device.orders import read_json

__all__ = ["MAX_BYTES", "Offer", "parse_offer"]

MAX_BYTES = 1 << 30  # of one image; a larger offer is rejected

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Offer:
    """An update on offer.

    Attributes:
        version, url, sha256, size: the image; size in bytes.
        id: the platform's own name for this offer, or "".
        signature: of the image, as the platform sent it, or "".
    """

    version: str
    url: str
    sha256: str
    size: int
    id: str = ""
    signature: str = ""

    @property
    def key(self) -> str:
        """What makes two offers the same."""
        return f"{self.id} {self.version} {self.sha256}"


def is_loopback(host: str | None) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def check_address(url: str) -> None:
    """HTTPS only; plain HTTP only to this very machine.

    Raises:
        FirmwareRefused: another address.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and is_loopback(parts.hostname):
        return
    raise FirmwareRefused(
        f"The firmware's address starts with {parts.scheme or 'nothing'}://, and only https:// "
        "is allowed."
    )


def id_of(body: dict[str, Any], shape: Payload) -> str:
    """The platform's own name for an offer, or ""."""
    found = look_up(body, shape.identifier or ("id",))
    return "" if found is None else str(found)


def parse_offer(payload: bytes, shape: Payload) -> Offer:
    """Read ``{"version", "url", "sha256", "size", "signature"?, "id"?}``, where the shape has them.

    Raises:
        FirmwareRefused: incomplete, or not to be fetched.
    """
    try:
        whole = read_json(payload)
        found = look_up(whole, shape.values)
        body: Any = found if isinstance(found, dict) else whole
        offer = Offer(
            version=str(body["version"]),
            url=str(body["url"]),
            sha256=str(body["sha256"]).lower(),
            size=body["size"],
            id=id_of(whole, shape),
            signature=str(body.get("signature") or ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise FirmwareRefused(f"The firmware offer is not complete: {exc!r}.") from exc
    if not _SHA256.fullmatch(offer.sha256):
        raise FirmwareRefused("The firmware offer has no SHA-256 of 64 hexadecimal digits.")
    if type(offer.size) is not int or not 0 < offer.size <= MAX_BYTES:
        raise FirmwareRefused(f"The firmware's size is not between 1 and {MAX_BYTES} bytes.")
    check_address(offer.url)
    return offer
