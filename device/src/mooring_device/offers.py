"""Firmware offers: what the platform says about an update, read and checked.

Pure: bytes in, an ``Offer`` or ``FirmwareRefused`` out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from ipaddress import ip_address
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from mooring_device.dialect import Payload, look_up
from mooring_device.errors import Defer, FirmwareRefused
from mooring_device.orders import read_json

__all__ = [
    "MAX_BYTES",
    "MAX_MANIFEST",
    "MAX_SIGNATURES",
    "Offer",
    "Signature",
    "canonical",
    "parse_offer",
]

MAX_BYTES = 1 << 30  # of one image; a larger offer is rejected
MAX_MANIFEST = 16_384  # characters
MAX_SIGNATURES = 32
MAX_HARDWARE = 64  # names
MISSED = 300.0  # seconds between two looks for an offer with the next window

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Signature(NamedTuple):
    """A signature of the manifest.

    Attributes:
        key: name of the key.
        value: base64.
    """

    key: str
    value: str


@dataclass(frozen=True)
class Offer:
    """An update on offer.

    Attributes:
        version, url, sha256, size: the image; size in bytes.
        id: the platform's own name for this offer, or "".
        signature: of the image, as the platform sent it, or ""; the SDK does not look at it.
        kind: ``firmware``, ``filesystem`` or ``other``.
        hardware: names of the hardware it is for; empty: any.
        security_version: 0: the product does not use it.
        manifest: the signed statement, exactly as it was signed, or "".
        signatures: of the manifest.
        install_after, install_before: when it may be installed, seconds since 1970; 0: at any
            time.
    """

    version: str
    url: str
    sha256: str
    size: int
    id: str = ""
    signature: str = ""
    kind: str = "firmware"
    hardware: tuple[str, ...] = ()
    security_version: int = 0
    manifest: str = ""
    signatures: tuple[Signature, ...] = ()
    install_after: float = 0.0
    install_before: float = 0.0

    def seconds_to_wait(self, now: float) -> float:
        """How long the install has to wait; 0: it may begin.

        After the window the platform sends an offer with the next one.

        Args:
            now: seconds since 1970.
        """
        if now < self.install_after:
            return self.install_after - now
        return MISSED if self.install_before and now >= self.install_before else 0.0

    @property
    def key(self) -> str:
        """What makes two offers the same."""
        return f"{self.id} {self.version} {self.sha256}"

    def defer(self, seconds: float) -> NoReturn:
        """For handlers: not now. The handler is called again after that time, in seconds.

        Raises:
            Defer: always.
        """
        raise Defer(seconds)

    def to_keep(self) -> dict[str, Any]:
        """As the store has it. Firmware with an earlier version of this package, to which a device
        may roll back, knows no windows: it is not given those that say nothing."""
        found = asdict(self)
        for name in ("install_after", "install_before"):
            if not found[name]:
                del found[name]
        return found

    @classmethod
    def kept(cls, given: Mapping[str, Any]) -> Offer:
        """An offer as the store has it, also one that a later version of this package wrote."""
        known = {field.name for field in fields(cls)}
        return cls(
            **{
                **{name: value for name, value in given.items() if name in known},
                "hardware": tuple(given.get("hardware", ())),
                "signatures": tuple(Signature(*one) for one in given.get("signatures", ())),
            }
        )


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
        "is allowed.",
        code="link",
    )


def id_of(body: dict[str, Any], shape: Payload) -> str:
    """The platform's own name for an offer, or ""."""
    found = look_up(body, shape.identifier or ("id",))
    return "" if found is None else str(found)


def body_of(whole: dict[str, Any], shape: Payload) -> dict[str, Any]:
    """The part of an offer that has the version and the address."""
    places = [shape.values]
    if shape.guess:  # of a dialect that is not known
        places += [("parameters",), ("payload",), ("args",)]
    for place in places:
        found = look_up(whole, place)
        if isinstance(found, dict) and "version" in found:
            return found
    return whole


def parse_offer(payload: bytes, shape: Payload) -> Offer:
    """Read ``{"version", "url", "sha256", "size", …}``, where the shape has them.

    Also read, where they are given: ``id``, ``signature``, ``kind``, ``hardware``,
    ``security_version``, ``install_after``, ``install_before`` (ISO 8601), ``manifest`` (the
    signed text, or an object) and ``signatures`` (``[{"key", "value"}]``). What the channel's shape
    has apart from its values, such as the dialect's own fields, may also be next to them.

    Raises:
        FirmwareRefused: incomplete, or not to be fetched.
    """
    try:
        whole = read_json(payload)
        body = body_of(whole, shape)
        offer = Offer(
            version=str(body["version"]),
            url=str(body["url"]),
            sha256=str(body["sha256"]).lower(),
            size=body["size"],
            id=id_of(whole, shape) or str(body.get("id") or ""),
            signature=str(body.get("signature") or ""),
            kind=str(body.get("kind") or "firmware"),
            hardware=_names(body.get("hardware")),
            security_version=_whole(body.get("security_version")),
            manifest=_manifest(body.get("manifest")),
            signatures=_signatures(body.get("signatures")),
            install_after=_time(body.get("install_after")),
            install_before=_time(body.get("install_before")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise FirmwareRefused(f"The firmware offer is not complete: {exc!r}.") from exc
    if not _SHA256.fullmatch(offer.sha256):
        raise FirmwareRefused("The firmware offer has no SHA-256 of 64 hexadecimal digits.")
    if type(offer.size) is not int or not 0 < offer.size <= MAX_BYTES:
        raise FirmwareRefused(f"The firmware's size is not between 1 and {MAX_BYTES} bytes.")
    check_address(offer.url)
    return offer


def _time(given: Any) -> float:
    """A time of ISO 8601 as seconds since 1970; 0: none."""
    if given is None:
        return 0.0
    found = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found.timestamp()


def _names(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    names = [given] if isinstance(given, str) else list(given)
    if len(names) > MAX_HARDWARE or not all(isinstance(one, str) for one in names):
        raise ValueError("hardware is a list of names")
    return tuple(names)


def _whole(given: Any) -> int:
    if given is None:
        return 0
    if type(given) is not int or not 0 <= given < 2**31:
        raise ValueError("security_version is a whole number below 2147483648")
    return int(given)


def canonical(manifest: Mapping[str, Any]) -> str:
    """A manifest as it is signed: the platform and the device agree on it."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _manifest(given: Any) -> str:
    text = given if isinstance(given, str) else ""
    if isinstance(given, dict):
        text = canonical(given)
    elif given is not None and not isinstance(given, str):
        raise ValueError("manifest is a text or an object")
    if len(text) > MAX_MANIFEST:
        raise ValueError(f"the manifest has more than {MAX_MANIFEST} characters")
    text.encode()  # a half of a surrogate pair is a ValueError
    return text


def _signatures(given: Any) -> tuple[Signature, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MAX_SIGNATURES:
        raise ValueError(f"signatures are a list of at most {MAX_SIGNATURES}")
    return tuple(Signature(str(one["key"]), str(one["value"])) for one in given)
