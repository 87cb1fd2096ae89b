"""Rules of single settings. Each gives the value back as it shall be."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

__all__ = [
    "all_bare",
    "bare",
    "is_loopback",
    "networks",
    "origins",
    "safe_url",
    "tiles",
    "tiles_origin",
]


_ORIGIN = re.compile(r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?=/)")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, which no network carries."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def bare(host: str) -> str:
    """``[::1]`` as it is written without a port; rejects what no resolver takes."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        bare.encode("idna")
    except UnicodeError as exc:
        raise ValueError(f"{host[:80]!a} is neither a host name nor an address") from exc
    return bare


def all_bare(given: tuple[str, ...]) -> tuple[str, ...]:
    """Host names and addresses, each as ``bare`` has it."""
    return tuple(bare(one) for one in given)


def safe_url(given: str | None) -> str | None:
    """An https:// URL, or http:// on this machine, without the slash at its end."""
    if not given:
        return None
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{given[:100]!a} is not an https:// URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(
            "devices send passwords there, and http:// does not encrypt them; use https://"
        )
    return given.rstrip("/")


def origins(given: tuple[str, ...]) -> tuple[str, ...]:
    """Origins of web pages."""
    for one in given:
        parts = urlsplit(one)
        if f"{parts.scheme}://{parts.netloc}" != one or not one.isprintable() or " " in one:
            raise ValueError(f"{one[:80]!a} is not an origin such as https://iot.example.org")
    return given


def tiles(given: str | None) -> str | None:
    """The address of a tile of a map: http:// or https://, with its three numbers."""
    if not given:
        return None
    if tiles_origin(given) == "":
        raise ValueError(f"{given[:100]!a} is not an address such as https://tiles.example.org/")
    rest = given
    for name in ("{z}", "{x}", "{y}"):
        if given.count(name) != 1:
            raise ValueError(f"it needs {name} once, as in https://host/{{z}}/{{x}}/{{y}}.png")
        rest = rest.replace(name, "")
    if not all("!" <= letter <= "~" and letter not in "\"'<>{}\\^`|" for letter in rest):
        raise ValueError(f"{given[:100]!a} has characters that an address cannot have")
    return given


def tiles_origin(given: str) -> str:
    """The origin of an address, for the policy of pages; empty: it has none."""
    found = _ORIGIN.match(given)
    return found[0] if found else ""


def networks(given: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses and networks."""
    for one in given:
        try:
            ip_network(one, strict=False)
        except ValueError as exc:
            raise ValueError(f"{one[:64]!a} is neither an address nor a network") from exc
    return given


ROLES = ("viewer", "operator", "admin")
SIGNATURE_ALGORITHMS = frozenset(
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
"""With a private key of the signer's own: what is checked with a shared secret is not a proof."""


def signature_algorithms(given: tuple[str, ...]) -> tuple[str, ...]:
    """Names of signature algorithms (RFC 7518); never ``none`` and never a shared secret."""
    for one in given:
        if one not in SIGNATURE_ALGORITHMS:
            raise ValueError(
                f"{one[:20]!a} is not one of {', '.join(sorted(SIGNATURE_ALGORITHMS))}"
            )
    if not given:
        raise ValueError("at least one algorithm is needed")
    return given


def role_mapping(given: tuple[str, ...]) -> tuple[str, ...]:
    """``GROUP=ROLE`` and ``GROUP=ROLE@TENANT``."""
    for one in given:
        group, _, right = one.rpartition("=")
        role, at, tenant = right.partition("@")
        if not group or role not in ROLES or bool(at) != bool(tenant):
            raise ValueError(
                f"{one[:100]!a} is not GROUP=ROLE or GROUP=ROLE@TENANT, with a role of "
                f"{', '.join(ROLES)}"
            )
    return given
